// Accounts at pretend third parties, as two grants that node-oidc-provider does not have by itself: Auth0's Token Vault and
// token exchange (RFC 8693). The library does the client authentication, the parameters and the errors' form.

import { errors } from 'oidc-provider';

export const TOKEN_VAULT = 'urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token';
export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const FEDERATED_TOKEN = 'http://auth0.com/oauth/token-type/federated-connection-access-token';

const refuse = (status, code, description) =>
  Object.assign(new errors.CustomOIDCProviderError(code, description), { status, statusCode: status });

/** `personOf` says whose access token of the login it is, or nothing. */
export function openVault(provider, personOf) {
  const accounts = [
    { person: 'person-1', connection: 'github', scopes: ['repo', 'user'], revoked: false },
    { person: 'person-1', connection: 'https://calendar.example/api', scopes: ['read'], revoked: false },
  ];
  const issued = []; // { token, person, connection, scopes, client_id }

  const issue = (ctx, account, scopes, separator, kind) => {
    const token = `third-party-${issued.length + 1}`;
    issued.push({ token, person: account.person, connection: account.connection, scopes, client_id: ctx.oidc.client.clientId });
    ctx.body = {
      access_token: token,
      issued_token_type: kind,
      token_type: 'Bearer',
      expires_in: 600,
      scope: scopes.join(separator),
    };
  };

  const tokenVault = async (ctx) => {
    const { subject_token, subject_token_type, requested_token_type, connection } = ctx.oidc.params;
    if (requested_token_type !== FEDERATED_TOKEN) throw new errors.InvalidRequest('no such requested_token_type');
    if (subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('no such subject_token_type');
    const person = await personOf(subject_token);
    if (!person) throw refuse(401, 'invalid_grant', 'the subject token is dead');
    const account = accounts.find((one) => one.person === person && one.connection === connection);
    if (!account) throw refuse(401, 'federated_connection_refresh_token_not_found', 'not connected');
    if (account.revoked) throw refuse(401, 'federated_connection_refresh_token_flow_failed', 'revoked');
    issue(ctx, account, account.scopes, ',', FEDERATED_TOKEN);
  };

  const exchange = async (ctx) => {
    const { subject_token, subject_token_type, requested_token_type, audience, resource, scope } = ctx.oidc.params;
    if (requested_token_type && requested_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('no such token type');
    const person = subject_token_type === ACCESS_TOKEN && (await personOf(subject_token));
    if (!person) throw new errors.InvalidRequest('the subject token is not acceptable');
    const targets = [audience, resource].flat().filter(Boolean);
    const account = accounts.find((one) => one.person === person && one.connection === targets[0] && !one.revoked);
    if (!account || targets.length !== 1) throw new errors.InvalidTarget('nothing for this target');
    const scopes = scope ? scope.split(' ') : account.scopes;
    const beyond = scopes.find((one) => !account.scopes.includes(one));
    if (beyond) throw new errors.InvalidScope('not connected with it', beyond);
    issue(ctx, account, scopes, ' ', ACCESS_TOKEN);
  };

  const subject = ['subject_token', 'subject_token_type', 'requested_token_type'];
  provider.registerGrantType(TOKEN_VAULT, tokenVault, [...subject, 'connection', 'login_hint'], []);
  provider.registerGrantType(EXCHANGE, exchange, [...subject, 'audience', 'resource', 'scope'], ['audience', 'resource']);

  return { accounts, issued };
}
