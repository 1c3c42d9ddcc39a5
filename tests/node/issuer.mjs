// An OpenID provider that is certified and none of ours: node issuer.mjs PORT FILE, with the private keys (JWK) in FILE.
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [port, file] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'users:read users:write orders:read orders:write weather:read operator';

const provider = new Provider(issuer, {
  jwks: { keys: JSON.parse(readFileSync(file, 'utf8')) }, // the first one signs
  scopes: scope.split(' '),
  clients: [
    {
      client_id: 'shop',
      client_secret: 'shop-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:crossdock-api',
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope,
        audience: resource.replace('urn:', ''),
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.listen(Number(port), '127.0.0.1');
