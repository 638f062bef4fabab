// A real authorization server for the tests of agentctl: node-oidc-provider with a public client for the device flow,
// two confidential clients for CIBA, one resource (the shop), and a back office at /control that plays the people.
//
// Prints one line of JSON when it is ready. Everything is on one free port of 127.0.0.1; nothing is kept.
// With --no-rar it is a server that does not know RFC 9396.

import { createServer } from 'node:http';
import { randomBytes } from 'node:crypto';
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import { Provider, errors } from 'oidc-provider';

import { openShop } from './shop.mjs';
import { EXCHANGE, TOKEN_VAULT, openVault } from './vault.mjs';

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const people = {
  'person-1': { name: 'Ada Lovelace', preferred_username: 'ada', email: 'ada@example.com', email_verified: true },
  'person-2': { name: 'Grace Hopper', preferred_username: 'grace', email: 'grace@example.com', email_verified: true },
};
const shop = { resource: `${origin}/shop`, audience: 'sample-shop-api', scopes: 'product:read product:buy' };
const secret = `s%c+r et/${randomBytes(16).toString('hex')}`; // needs the encoding of RFC 6749 §2.3.1
const clients = { login: 'cli', approval: 'approvals', approvalByKey: 'approvals-by-key', vault: 'vault', vaultByPost: 'vault-by-post' };
const knowsRar = !process.argv.includes('--no-rar');
const rarClient = knowsRar ? { authorization_details_types: ['purchase'] } : {};
const CIBA = 'urn:openid:params:grant-type:ciba';

const signing = async (alg, kid) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), alg, kid, use: 'sig' };
};

// What the back office knows.
const logins = []; // { user_code, client_id, scope }
const approvals = []; // { id, auth_req_id, ... }
const history = []; // { method, path, status, body }
const auto = { logins: 'off', approvals: 'off', after_ms: 0 };

const later = (work) => setTimeout(() => work().catch((error) => console.error(error)), auto.after_ms);

const provider = new Provider(origin, {
  clients: [
    {
      client_id: clients.login,
      client_name: 'agentctl',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      response_types: [],
      redirect_uris: [],
    },
    {
      client_id: clients.approval,
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_basic',
      grant_types: [CIBA],
      backchannel_token_delivery_mode: 'poll',
      ...rarClient,
      response_types: [],
      redirect_uris: [],
    },
    ...[
      [clients.vault, 'client_secret_basic'],
      [clients.vaultByPost, 'client_secret_post'],
    ].map(([client_id, token_endpoint_auth_method]) => ({
      client_id,
      client_secret: secret,
      token_endpoint_auth_method,
      grant_types: [TOKEN_VAULT, EXCHANGE],
      response_types: [],
      redirect_uris: [],
    })),
  ],
  jwks: { keys: [await signing('RS256', 'rsa'), await signing('ES256', 'ec')] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  ttl: { AccessToken: 300, BackchannelAuthenticationRequest: 300, DeviceCode: 300, Grant: 3600, IdToken: 300, RefreshToken: 3600 },
  findAccount: (_ctx, id) =>
    people[id] && { accountId: id, claims: async () => ({ sub: id, ...people[id] }) },
  features: {
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: async () => false,
      getResourceServerInfo: async (_ctx, resource) => {
        if (resource !== shop.resource) throw new errors.InvalidTarget();
        return { scope: shop.scopes, audience: shop.audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
      },
    },
    richAuthorizationRequests: {
      enabled: knowsRar,
      types: {
        purchase: {
          validate: (_ctx, detail) => {
            if (!Array.isArray(detail.actions)) throw new errors.InvalidAuthorizationDetails('a purchase needs actions');
          },
        },
      },
      authorizationDetailsForGrantSource: (_ctx, source) => source.rar,
      authorizationDetailsForAccessToken: (_ctx, _token, source) => source?.rar,
      authorizationDetailsForIntrospection: (_ctx, token) => token.rar,
    },
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      validateRequestContext: async () => {},
      verifyUserCode: async () => {},
      processLoginHintToken: async () => undefined,
      processLoginHint: async (_ctx, hint) =>
        Object.keys(people).find((id) => [id, people[id].email, people[id].preferred_username].includes(hint)),
      triggerAuthenticationDevice: async (_ctx, request, account) => {
        const { binding_message, scope, authorization_details } = request.params;
        approvals.push({
          id: approvals.length + 1,
          auth_req_id: request.jti,
          account: account.accountId,
          client_id: request.clientId,
          binding_message,
          scope,
          resource: request.resource,
          authorization_details: authorization_details && JSON.parse(authorization_details),
          state: 'pending',
        });
        const { id } = approvals.at(-1);
        if (auto.approvals !== 'off') later(() => answerApproval(id, auto.approvals));
      },
    },
  },
});

provider.on('device_authorization.success', (ctx, answer) => {
  logins.push({ user_code: answer.user_code, client_id: ctx.oidc.client.clientId, scope: ctx.oidc.params.scope, state: 'pending' });
  if (auto.logins !== 'off') later(() => answerLogin(answer.user_code, auto.logins));
});
provider.on('server_error', (_ctx, error) => console.error(error));

// Who asked for what, for tests that must know it. Values of secrets are left out.
provider.use(async (ctx, next) => {
  await next();
  const secrets = ['client_secret', 'client_assertion', 'refresh_token', 'device_code', 'auth_req_id', 'token', 'subject_token'];
  const body = Object.entries(ctx.oidc?.body ?? {}).map(([name, value]) => [name, secrets.includes(name) ? '...' : value]);
  history.push({ method: ctx.method, path: ctx.path, status: ctx.status, body: Object.fromEntries(body) });
});

const newest = (list, key, wanted) =>
  wanted === 'latest' ? list.at(-1) : list.find((one) => String(one[key]) === decodeURIComponent(wanted));

async function grantFor(accountId, clientId, scope, resource, rar) {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  for (const one of [resource ?? []].flat()) grant.addResourceScope(one, scope);
  for (const detail of rar ?? []) grant.addRar(detail);
  return grant.save();
}

async function answerLogin(which, answer, accountId = 'person-1') {
  const login = newest(logins, 'user_code', which);
  if (!login) return false;
  const code = await provider.DeviceCode.findByUserCode(login.user_code.replace(/\W/g, ''), { ignoreExpiration: true });
  login.state = answer;
  if (answer === 'approve') {
    const { scope, resource } = code.params;
    const grantId = await grantFor(accountId, code.clientId, scope, resource);
    const authTime = Math.floor(Date.now() / 1000);
    Object.assign(code, { accountId, grantId, authTime, scope, resource });
  } else if (answer === 'deny') {
    Object.assign(code, { error: 'access_denied', errorDescription: 'End-User aborted interaction' });
  } else {
    code.exp = Math.floor(Date.now() / 1000) - 1;
  }
  await code.save();
  return true;
}

// `bent` is what the server grants instead of what was asked: a smaller scope, other details.
async function answerApproval(which, answer, bent = {}) {
  const approval = newest(approvals, 'id', String(which));
  if (!approval) return false;
  const request = await provider.BackchannelAuthenticationRequest.find(approval.auth_req_id, { ignoreExpiration: true });
  approval.state = answer;
  const { account, scope, resource, authorization_details } = { ...approval, ...bent };
  if (answer === 'approve') {
    const grantId = await grantFor(account, request.clientId, scope, resource, authorization_details);
    const rar = authorization_details;
    await provider.backchannelResult(request, grantId, { acr: '0', authTime: Math.floor(Date.now() / 1000), rar });
  } else if (answer === 'deny') {
    await provider.backchannelResult(request, new errors.AccessDenied('the person said no'));
  } else {
    request.exp = Math.floor(Date.now() / 1000) - 1;
    await request.save();
  }
  return true;
}

async function registerKey({ jwk, alg = 'ES256' }) {
  await provider.Client.adapter.upsert(clients.approvalByKey, {
    client_id: clients.approvalByKey,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: alg,
    jwks: { keys: [jwk] },
    grant_types: [CIBA],
    backchannel_token_delivery_mode: 'poll',
    ...rarClient,
    response_types: [],
    redirect_uris: [],
  });
  return true;
}

const keys = createRemoteJWKSet(new URL(`${origin}/jwks`));
const { orders, serve: serveShop } = openShop(async (token) => {
  const { payload } = await jwtVerify(token, keys, { issuer: origin, audience: shop.audience, typ: 'at+jwt' });
  return payload;
}, knowsRar);

// Opaque where the login named no resource, signed where it did.
const vault = openVault(provider, async (token) => {
  const known = await provider.AccessToken.find(token);
  if (known) return known.clientId === clients.login ? known.accountId : undefined;
  const verified = await jwtVerify(token, keys, { issuer: origin, typ: 'at+jwt' }).catch(() => undefined);
  return verified?.payload.client_id === clients.login ? verified.payload.sub : undefined;
});

async function control(method, path, body) {
  const [, , kind, which, answer] = path.split('/');
  if (method === 'GET') {
    const shown = approvals.map(({ auth_req_id: _, ...rest }) => rest);
    return { logins, approvals: shown, orders, history, ...vault }[kind];
  }
  if (method !== 'POST') return undefined;
  if (kind === 'auto') return Object.assign(auto, body);
  if (kind === 'client-key') return registerKey(body);
  if (kind === 'accounts') return vault.accounts.splice(0, Infinity, ...body);
  if (!['approve', 'deny', 'expire'].includes(answer)) return undefined;
  if (kind === 'logins') return (await answerLogin(which, answer, body.account)) || undefined;
  if (kind === 'approvals') return (await answerApproval(which, answer, body)) || undefined;
  return undefined;
}

const serveProvider = provider.callback();
server.on('request', async (request, response) => {
  const url = new URL(request.url, origin);
  const reply = (status, value) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
  if (!/^\/(control|shop)\//.test(url.pathname)) return serveProvider(request, response);
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const body = text ? JSON.parse(text) : {};
    if (url.pathname.startsWith('/shop/')) return reply(...(await serveShop(request, url, body)));
    const answer = await control(request.method, url.pathname, body);
    return answer === undefined ? reply(404, { error: 'no such thing' }) : reply(200, answer);
  } catch (error) {
    return reply(500, { error: String(error?.stack ?? error) });
  }
});

const env = {
  AGENTCTL_ISSUER: origin,
  AGENTCTL_PROVIDER: 'oidc',
  AGENTCTL_CLIENT_ID: clients.login,
  AGENTCTL_RESOURCE: shop.resource,
  AGENTCTL_SCOPES: 'openid profile email offline_access product:read',
  AGENTCTL_APPROVAL_CLIENT_ID: clients.approval,
  AGENTCTL_APPROVAL_CLIENT_SECRET: secret,
  AGENTCTL_VAULT_CLIENT_ID: clients.vault,
  AGENTCTL_VAULT_CLIENT_SECRET: secret,
  SHOP_API_URL: `${origin}/shop/orders`,
  SHOP_CATALOG_URL: `${origin}/shop/products`,
  SHOP_API_AUDIENCE: shop.audience,
  SHOP_API_RESOURCE: shop.resource,
};
console.log(JSON.stringify({ event: 'ready', issuer: origin, control: `${origin}/control`, clients, env }));
process.stdin.on('end', () => process.exit(0)).resume(); // ends with the test that started it
