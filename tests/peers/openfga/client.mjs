// The official client of OpenFGA against whatever FGA_API_URL names: every call that agentctl or its tests may make, and a
// few that must go wrong. It prints one line of JSON; the test that started it knows what it must say.
import { readFile } from "node:fs/promises";

import { ConsistencyPreference, OpenFgaClient } from "@openfga/sdk";
import transformer from "@openfga/syntax-transformer";

const { FGA_API_URL: apiUrl, FGA_API_TOKEN: token } = process.env;
const credentials = { method: "api_token", config: { token } };
// A wrong answer must be seen, not asked for again.
const retryParams = { maxRetry: 0, minWaitInMs: 100 };
const connect = (more = {}) => new OpenFgaClient({ apiUrl, credentials, retryParams, ...more });
const sorted = (list) => [...list].sort();

/** What the client makes of a refusal. */
async function refused(call) {
  try {
    await call();
    return "it went through";
  } catch (error) {
    return [error.name, error.statusCode, error.apiErrorCode].join(" ");
  }
}

const says = {};
const store = await connect().createStore({ name: "peer test" });
const fga = connect({ storeId: store.id });
says.stores = (await fga.listStores()).stores.map((one) => one.name).includes("peer test");
says.store = (await fga.getStore()).name;
says.no_model_yet = await refused(() => fga.check({ user: "user:anne", relation: "viewer", object: "document:plan" }));

const dsl = await readFile(new URL("model.fga", import.meta.url), "utf8");
const model = transformer.transformer.transformDSLToJSONObject(dsl);
const { authorization_model_id: modelId } = await fga.writeAuthorizationModel(model);
fga.authorizationModelId = modelId;
const kept = (await fga.readAuthorizationModel()).authorization_model;
says.model_comes_back = transformer.transformer.transformJSONToDSL(kept).trim() === dsl.trim();
says.latest = (await fga.readLatestAuthorizationModel()).authorization_model.id === modelId;
says.models = (await fga.readAuthorizationModels()).authorization_models.length;
const { id, ...copy } = kept;
says.copied = (await fga.writeAuthorizationModel(copy)).authorization_model_id !== id;

const tuple = (user, relation, object) => ({ user, relation, object });
await fga.write({
  writes: [
    tuple("user:anne", "member", "group:staff"),
    tuple("group:interns#member", "member", "group:staff"),
    tuple("user:ivy", "member", "group:interns"),
    tuple("group:staff#member", "viewer", "folder:plans"),
    tuple("user:*", "viewer", "folder:public"),
    tuple("folder:plans", "parent", "document:plan"),
    tuple("folder:public", "parent", "document:note"),
    tuple("user:dan", "owner", "document:plan"),
    tuple("user:ivy", "editor", "document:plan"),
    tuple("user:anne", "blocked", "document:plan"),
  ],
});
await fga.writeTuples([tuple("user:eve", "editor", "document:old")]);
await fga.deleteTuples([tuple("user:eve", "editor", "document:old")]);
const first = await fga.read({}, { pageSize: 7 });
const rest = await fga.read({}, { pageSize: 7, continuationToken: first.continuation_token });
says.pages = [first.tuples.length, rest.tuples.length, rest.continuation_token];
says.of_anne = (await fga.read({ user: "user:anne", object: "document:" })).tuples.map((one) => one.key.relation);

const questions = {
  "anne views folder:plans": tuple("user:anne", "viewer", "folder:plans"),
  "ivy views folder:plans": tuple("user:ivy", "viewer", "folder:plans"),
  "interns view folder:plans": tuple("group:interns#member", "viewer", "folder:plans"),
  "dan views the plan": tuple("user:dan", "viewer", "document:plan"),
  "ivy views the plan": tuple("user:ivy", "viewer", "document:plan"),
  "anne views the plan": tuple("user:anne", "viewer", "document:plan"),
  "ivy reviews the plan": tuple("user:ivy", "reviewer", "document:plan"),
  "dan reviews the plan": tuple("user:dan", "reviewer", "document:plan"),
  "somebody views the note": tuple("user:somebody", "viewer", "document:note"),
  "somebody edits the note": tuple("user:somebody", "editor", "document:note"),
};
const names = Object.keys(questions);
const one = {};
for (const name of names) {
  const answer = await fga.check(questions[name], { consistency: ConsistencyPreference.HigherConsistency });
  one[name] = answer.allowed;
}
says.check = one;
const many = await fga.clientBatchCheck(Object.values(questions));
says.client_batch_agrees = many.result.every((answer) => answer.allowed === one[names.find((name) => questions[name] === answer._request)]);
const checks = names.map((name, index) => ({ ...questions[name], correlationId: `q-${index}` }));
const batch = await fga.batchCheck({
  checks: [
    ...checks,
    { ...tuple("user:anne", "reader", "document:plan"), correlationId: "wrong" },
    {
      ...tuple("user:guest", "viewer", "folder:plans"),
      correlationId: "guest",
      contextualTuples: { tuple_keys: [tuple("user:guest", "member", "group:staff")] },
    },
  ],
});
const byId = Object.fromEntries(batch.result.map((answer) => [answer.correlationId, answer]));
says.batch_agrees = names.every((name, index) => byId[`q-${index}`].allowed === one[name]);
says.batch_error = byId.wrong.error.input_error;
says.batch_guest = byId.guest.allowed;

says.lists = {
  ivy: sorted((await fga.listObjects({ user: "user:ivy", relation: "viewer", type: "document" })).objects),
  anne: sorted((await fga.listObjects({ user: "user:anne", relation: "viewer", type: "document" })).objects),
};
says.relations = sorted(
  (await fga.listRelations({ user: "user:ivy", object: "document:plan", relations: ["owner", "editor", "viewer", "reviewer"] })).relations,
);
const guest = tuple("user:guest", "viewer", "folder:plans");
const contextualTuples = [tuple("user:guest", "member", "group:staff")];
says.guest = [
  (await fga.check(guest)).allowed,
  (await fga.check({ ...guest, contextualTuples })).allowed,
  (await fga.listObjects({ user: "user:guest", relation: "viewer", type: "folder", contextualTuples })).objects.length,
  (await fga.check(guest)).allowed,
];

const again = { writes: [tuple("user:anne", "member", "group:staff")], deletes: [tuple("user:nobody", "member", "group:staff")] };
says.lenient = (await fga.write(again, { conflict: { onDuplicateWrites: "ignore", onMissingDeletes: "ignore" } })).writes[0].status;
const elsewhere = { storeId: "01ARYZ6S410000000000000000" };
says.refused = {
  "a tuple twice": await refused(() => fga.write({ writes: again.writes })),
  "a delete of nothing": await refused(() => fga.write({ deletes: again.deletes })),
  "an unknown type": await refused(() => fga.check(tuple("robot:1", "viewer", "document:plan"))),
  "an unknown relation": await refused(() => fga.check(tuple("user:anne", "reader", "document:plan"))),
  "a forbidden user": await refused(() => fga.writeTuples([tuple("user:*", "editor", "document:plan")])),
  "a bad contextual tuple": await refused(() =>
    fga.check({ ...guest, contextualTuples: [tuple("user:*", "member", "group:staff")] }),
  ),
  "an unknown type to list": await refused(() => fga.listObjects({ user: "user:anne", relation: "viewer", type: "letter" })),
  "an unknown model": await refused(() => fga.check(guest, { authorizationModelId: "01ARYZ6S410000000000000000" })),
  "an unknown store": await refused(() => fga.check(guest, elsewhere)),
  "a bad model": await refused(() => fga.writeAuthorizationModel({ schema_version: "1.1", type_definitions: [] })),
  "expand": await refused(() => fga.expand({ relation: "viewer", object: "document:plan" })),
  "no token": await refused(() => connect({ storeId: store.id, credentials: undefined }).check(guest)),
  "another token": await refused(() =>
    connect({ storeId: store.id, credentials: { method: "api_token", config: { token: "wrong" } } }).check(guest),
  ),
};

await fga.deleteStore();
says.gone = await refused(() => fga.getStore());
console.log(JSON.stringify(says));
