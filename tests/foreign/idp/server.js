// An OAuth2 server of another make: the npm package oidc-provider, on loopback, with one client.
//
// It prints one line of JSON that says where it answers, and ends when its stdin does. Tokens are JWTs for the audience that
// it is started with, signed with a key that it makes for itself; its keys are published at /jwks.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Packages of modules are not looked for in NODE_PATH; those of `require` are.
const found = createRequire(import.meta.url).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(found));

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const audience = option('audience', 'contactbridge');
const algorithm = option('algorithm', 'RS256');
const seconds = Number(option('seconds', '3600'));
const client = { id: 'bridge', secret: option('secret', 'a+b&c%d=e f') };

const pair = algorithm === 'ES256'
  ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
  : generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...pair.privateKey.export({ format: 'jwk' }), use: 'sig', alg: algorithm, kid: 'tests' };

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  clients: [{
    client_id: client.id,
    client_secret: client.secret,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: algorithm,
  }],
  scopes: ['datasync'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:contactbridge:tests',
      getResourceServerInfo: () => ({
        scope: 'datasync',
        audience,
        accessTokenFormat: 'jwt',
        accessTokenTTL: seconds,
        jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});
server.on('request', provider.callback());

process.stdin.on('end', () => process.exit(0)).resume();
console.log(JSON.stringify({ issuer, token: `${issuer}/token`, jwks: `${issuer}/jwks`, audience, client }));
