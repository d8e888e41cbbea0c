/** Attacks on tokens of ours. Each is refused with 401, wherever it is shown. */
import { base64url, type Forge, type Forgery, hmac, noise, partsOf, unsigned, zeros } from './forge.ts';

export interface Attack {
  readonly name: string;
  readonly token: (forge: Forge) => Promise<string>;
}

/** A forgery by name; by a function where it needs to know something. */
type Listed = Readonly<Record<string, Forgery | ((forge: Forge) => Forgery | Promise<string>)>>;

function listed(group: string, attacks: Listed): Attack[] {
  return Object.entries(attacks).map(([name, attack]) => ({
    name: `${group}: ${name}`,
    token: async (forge) => {
      const forgery = typeof attack === 'function' ? attack(forge) : attack;
      return forgery instanceof Promise ? forgery : forge(forgery);
    },
  }));
}

const pem = ({ publicJwk }: Forge) =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.from(`302a300506032b6570032100${Buffer.from(publicJwk.x ?? '', 'base64url').toString('hex')}`, 'hex').toString('base64')}\n-----END PUBLIC KEY-----\n`;
const point = ({ publicJwk }: Forge) => Buffer.from(publicJwk.x ?? '', 'base64url');

const algorithms = listed('algorithm', {
  none: { header: { alg: 'none' }, sign: unsigned },
  None: { header: { alg: 'None' }, sign: unsigned },
  NONE: { header: { alg: 'NONE' }, sign: unsigned },
  nOnE: { header: { alg: 'nOnE' }, sign: unsigned },
  'none, signed by ours': { header: { alg: 'none' } },
  'none, with noise': { header: { alg: 'none' }, sign: noise },
  'none, with zeros': { header: { alg: 'none' }, sign: zeros },
  'HS256 with our public key as PEM': (forge) => ({ header: { alg: 'HS256' }, sign: hmac(pem(forge)) }),
  'HS256 with our public key as PEM, trimmed': (forge) => ({ header: { alg: 'HS256' }, sign: hmac(pem(forge).trim()) }),
  'HS384 with our public key as PEM': (forge) => ({ header: { alg: 'HS384' }, sign: hmac(pem(forge), 'SHA-384') }),
  'HS512 with our public key as PEM': (forge) => ({ header: { alg: 'HS512' }, sign: hmac(pem(forge), 'SHA-512') }),
  'HS256 with the point of our public key': (forge) => ({ header: { alg: 'HS256' }, sign: hmac(point(forge)) }),
  'HS512 with the point of our public key': (forge) => ({
    header: { alg: 'HS512' },
    sign: hmac(point(forge), 'SHA-512'),
  }),
  'HS256 with our public key as JWK': (forge) => ({
    header: { alg: 'HS256' },
    sign: hmac(JSON.stringify(forge.publicJwk)),
  }),
  'HS256 with an empty secret': { header: { alg: 'HS256' }, sign: hmac(new Uint8Array(1)) },
  'HS256 with a usual secret': { header: { alg: 'HS256' }, sign: hmac('secret') },
  'HS256 with the key id': { header: { alg: 'HS256' }, sign: hmac('1') },
  RS256: ({ theirs }) => ({ header: { alg: 'RS256' }, sign: theirs.rsa }),
  RS512: ({ theirs }) => ({ header: { alg: 'RS512' }, sign: theirs.rsa }),
  PS256: ({ theirs }) => ({ header: { alg: 'PS256' }, sign: theirs.rsaPss }),
  ES256: ({ theirs }) => ({ header: { alg: 'ES256' }, sign: theirs.p256 }),
  'ES256 with zeros': { header: { alg: 'ES256' }, sign: zeros },
  ES256K: { header: { alg: 'ES256K' }, sign: zeros },
  'Ed25519 by its other name': { header: { alg: 'Ed25519' } },
  Ed448: { header: { alg: 'Ed448' } },
  'EdDSA in small letters': { header: { alg: 'eddsa' } },
  'EdDSA with a space': { header: { alg: 'EdDSA ' } },
  'EdDSA with a NUL': { header: { alg: 'EdDSA\u0000' } },
  'EdDSA with a look-alike letter': { header: { alg: 'ЕdDSA' } },
  'EdDSA in a list': { header: { alg: ['EdDSA'] } },
  'no name': { header: { alg: undefined } },
  'an empty name': { header: { alg: '' } },
  null: { header: { alg: null } },
  'a number': { header: { alg: 0 } },
  'an object': { header: { alg: { toString: 'EdDSA' } } },
  'a name of every object': { header: { alg: 'constructor' } },
  'for encryption': { header: { alg: 'dir', enc: 'A256GCM' } },
  'for wrapping keys': { header: { alg: 'RSA-OAEP-256', enc: 'A256GCM' } },
  'by password': { header: { alg: 'PBES2-HS256+A128KW', p2c: 2_000_000_000, p2s: 'AAAA', enc: 'A128GCM' } },
});

const keys = listed('key id', {
  'left out': { header: { kid: undefined } },
  empty: { header: { kid: '' } },
  unknown: { header: { kid: 'x' } },
  'with a space before': { header: { kid: ' 1' } },
  'with a space after': { header: { kid: '1 ' } },
  'with a NUL': { header: { kid: '1\u0000' } },
  'an Arabic digit': { header: { kid: '١' } },
  'a wide digit': { header: { kid: '１' } },
  'a number': { header: { kid: 1 } },
  'a list': { header: { kid: ['1'] } },
  'an object': { header: { kid: { toString: '1' } } },
  null: { header: { kid: null } },
  true: { header: { kid: true } },
  'a path': { header: { kid: '../../../../dev/null' }, sign: hmac(new Uint8Array(1)) },
  'a path to the key': { header: { kid: '/berth/secrets/signing/1' } },
  'a path beside the key': { header: { kid: '../signing/1' } },
  'an address': { header: { kid: 'https://evil.test/key' } },
  'a query': { header: { kid: "1' UNION SELECT 'AA' --" } },
  'a command': { header: { kid: '1|id' } },
  'a pattern': { header: { kid: '*' } },
  'a name of every object': { header: { kid: 'constructor' } },
  'the prototype': { header: { kid: '__proto__' } },
  long: { header: { kid: '1'.repeat(4000) } },
  'of our key, with their signature': ({ theirs }) => ({ sign: theirs.ed25519 }),
  twice: (forge) => ({
    header: `{"alg":"EdDSA","typ":"berth+jwt","kid":"x","kid":"${String(forge.good.header['kid'])}"}`,
  }),
});

const headers = listed('header', {
  'brings its key': ({ theirs }) => ({ header: { jwk: theirs.ed25519Jwk }, sign: theirs.ed25519 }),
  'brings its key, and no id': ({ theirs }) => ({
    header: { kid: undefined, jwk: theirs.ed25519Jwk },
    sign: theirs.ed25519,
  }),
  'brings a shared secret': { header: { alg: 'HS256', jwk: { kty: 'oct', k: 'c2VjcmV0' } }, sign: hmac('secret') },
  'brings its private key': ({ theirs }) => ({
    header: { jwk: { ...theirs.ed25519Jwk, d: 'AA' } },
    sign: theirs.ed25519,
  }),
  'says where its keys are': ({ theirs }) => ({ header: { jku: 'https://evil.test/keys' }, sign: theirs.ed25519 }),
  'says where its keys are, on this machine': ({ theirs }) => ({
    header: { jku: 'http://127.0.0.1:1/' },
    sign: theirs.ed25519,
  }),
  'says where its certificate is': ({ theirs }) => ({ header: { x5u: 'https://evil.test/pem' }, sign: theirs.ed25519 }),
  'brings a certificate': ({ theirs }) => ({ header: { x5c: ['MIIB'] }, sign: theirs.ed25519 }),
  'names a certificate': ({ theirs }) => ({ header: { x5t: 'AAAA', 'x5t#S256': 'AAAA' }, sign: theirs.ed25519 }),
  'has something critical that nobody knows': { header: { crit: ['evil'], evil: true } },
  'has a critical claim': { header: { crit: ['exp'], exp: 1 } },
  'has nothing critical': { header: { crit: [] } },
  'has a critical text': { header: { crit: 'exp' } },
  'has a payload that is not encoded': { header: { b64: false, crit: ['b64'] } },
  'is of no type': { header: { typ: undefined } },
  'is a JWT': { header: { typ: 'JWT' } },
  'is an access token': { header: { typ: 'at+jwt' } },
  'is a logout token': { header: { typ: 'logout+jwt' } },
  'is an event': { header: { typ: 'secevent+jwt' } },
  'is of a type with a space': { header: { typ: 'berth+jwt ' } },
  'is of a type that begins alike': { header: { typ: 'berth+jwts' } },
  'is of a type in a list': { header: { typ: ['berth+jwt'] } },
  'is of a type that is null': { header: { typ: null } },
  'is of a type that looks alike': { header: { typ: 'bеrth+jwt' } },
  'is no object but a list': { header: '["EdDSA"]' },
  'is no object but null': { header: 'null' },
  'is no object but a text': { header: '"EdDSA"' },
  'is no JSON': { header: '{alg:EdDSA}' },
  'is empty JSON': { header: '{}' },
  'is cut off': { header: '{"alg":"EdDSA","typ":"berth+jwt","kid":"1"' },
  'goes on after its end': { header: '{"alg":"EdDSA","typ":"berth+jwt","kid":"1"}{}' },
  'names its algorithm twice': { header: '{"alg":"none","alg":"EdDSA","typ":"berth+jwt","kid":"1"}' },
  'names its type twice': { header: '{"alg":"EdDSA","typ":"JWT","typ":"berth+jwt","kid":"1"}' },
  'is nested': {
    header: `{"alg":"EdDSA","typ":"berth+jwt","kid":"1","a":${'['.repeat(1000)}${']'.repeat(1000)}}`,
    sign: noise,
  },
});

const HOUR = 3600;
const now = ({ good }: Forge) => Number(good.claims['iat']);

const times = listed('time', {
  'no end': { claims: { exp: undefined } },
  'an end of null': { claims: { exp: null } },
  'an end in words': { claims: { exp: 'never' } },
  'an end as text': (forge) => ({ claims: { exp: String(now(forge) + HOUR) } }),
  'an end in a list': (forge) => ({ claims: { exp: [now(forge) + HOUR] } }),
  'an end of true': { claims: { exp: true } },
  'an end at 0': { claims: { exp: 0 } },
  'an end before all time': { claims: { exp: -1 } },
  'an end an hour ago': (forge) => ({ claims: { exp: now(forge) - HOUR } }),
  'an end just beyond the tolerance': (forge) => ({ claims: { exp: now(forge) - 31 } }),
  'an end in the year 9999': { claims: { exp: 253_402_300_799 } },
  'an end in milliseconds': (forge) => ({ claims: { exp: (now(forge) + HOUR) * 1000 } }),
  'an end beyond all numbers': ({ good }) => ({
    claims: JSON.stringify(good.claims).replace(/"exp":\d+/, '"exp":1e999'),
  }),
  'an end at the largest number': { claims: { exp: Number.MAX_VALUE } },
  'an end that is no whole number': (forge) => ({ claims: { exp: now(forge) + HOUR + 0.5 } }),
  'two ends, the later last': ({ good }) => ({ claims: doubled(good.claims, 'exp', '1') }),
  'a beginning in an hour': (forge) => ({ claims: { nbf: now(forge) + HOUR } }),
  'a beginning in the year 9999': { claims: { nbf: 253_402_300_799 } },
  'a beginning as text': { claims: { nbf: '0' } },
  'a beginning of null': { claims: { nbf: null } },
  'no beginning': { claims: { nbf: undefined } },
  'made in an hour': (forge) => ({ claims: { iat: now(forge) + HOUR, exp: now(forge) + 2 * HOUR } }),
  'made in the year 9999': { claims: { iat: 253_402_300_000, exp: 253_402_300_799 } },
  'made before all time': { claims: { iat: -1 } },
  'made never': { claims: { iat: undefined } },
  'made as text': { claims: { iat: '0' } },
  'made at no whole second': (forge) => ({ claims: { iat: now(forge) + 0.5 } }),
});

/** The claims with one of them twice: first as it should not be. */
function doubled(claims: object, name: string, first: string): string {
  return JSON.stringify(claims).replace('{', `{${JSON.stringify(name)}:${first},`);
}

const claims = listed('claims', {
  'of no issuer': { claims: { iss: undefined } },
  'of an empty issuer': { claims: { iss: '' } },
  'of another cluster': { claims: { iss: 'berth:another' } },
  'of an issuer with a space': ({ good }) => ({ claims: { iss: `${good.claims['iss']} ` } }),
  'of an issuer with a slash': ({ good }) => ({ claims: { iss: `${good.claims['iss']}/` } }),
  'of an issuer in capitals': ({ good }) => ({ claims: { iss: String(good.claims['iss']).toUpperCase() } }),
  'of an issuer that looks alike': ({ good }) => ({ claims: { iss: String(good.claims['iss']).replace('e', 'е') } }),
  'of an issuer with a mark that nobody sees': ({ good }) => ({ claims: { iss: `${good.claims['iss']}\u200b` } }),
  'of issuers in a list': ({ good }) => ({ claims: { iss: [good.claims['iss']] } }),
  'of an issuer of null': { claims: { iss: null } },
  'of an issuer that every object has': { claims: { iss: '__proto__' } },
  'of two issuers, ours last': ({ good }) => ({ claims: doubled(good.claims, 'iss', '"https://evil.test"') }),
  'for nobody': { claims: { aud: undefined } },
  'for another': { claims: { aud: 'sts.amazonaws.com' } },
  'for an empty name': { claims: { aud: '' } },
  'for a name that begins alike': { claims: { aud: 'berth-staging' } },
  'for a name in capitals': { claims: { aud: 'BERTH' } },
  'for a name with a space': { claims: { aud: 'berth ' } },
  'for a name that looks alike': { claims: { aud: 'bеrth' } },
  'for a wide name': { claims: { aud: 'ｂｅｒｔｈ' } },
  'for us in a list': { claims: { aud: ['berth'] } },
  'for us among others': { claims: { aud: ['evil', 'berth'] } },
  'for an object': { claims: { aud: { berth: true } } },
  'for null': { claims: { aud: null } },
  'for two, us last': ({ good }) => ({ claims: doubled(good.claims, 'aud', '"evil"') }),
  'of no subject': { claims: { sub: undefined } },
  'of an empty subject': { claims: { sub: '' } },
  'of a subject of null': { claims: { sub: null } },
  'of a subject that is a number': { claims: { sub: 7 } },
  'of a subject in a list': { claims: { sub: ['admin'] } },
  'of two subjects': ({ good }) => ({ claims: doubled(good.claims, 'sub', '"nobody"') }),
  'of no id': { claims: { jti: undefined } },
  'of an empty id': { claims: { jti: '' } },
  'of an id that is a number': { claims: { jti: 1 } },
  'of two ids': ({ good }) => ({ claims: doubled(good.claims, 'jti', '"x"') }),
  'of no kind': { claims: { kind: undefined } },
  'of an unknown kind': { claims: { kind: 'root' } },
  'of a kind in capitals': { claims: { kind: 'USER' } },
  'of a kind with a space': { claims: { kind: 'user ' } },
  'of kinds in a list': { claims: { kind: ['user'] } },
  'of a kind of null': { claims: { kind: null } },
  'of two kinds': ({ good }) => ({ claims: doubled(good.claims, 'kind', '"join"') }),
  'without grants': { claims: { grants: undefined } },
  'with grants of null': { claims: { grants: null } },
  'with grants that are a text': { claims: { grants: '*' } },
  'with grants that are an object': { claims: { grants: { roles: ['*'], actions: ['*'] } } },
  'with a grant that is a text': { claims: { grants: ['*'] } },
  'with roles that are a text': { claims: { grants: [{ roles: '*', actions: ['*'] }] } },
  'with actions that are a text': { claims: { grants: [{ roles: ['*'], actions: '*' }] } },
  'with roles that are no texts': { claims: { grants: [{ roles: [{}], actions: ['*'] }] } },
  'with actions that are no texts': { claims: { grants: [{ roles: ['*'], actions: [null] }] } },
  'with grants twice': ({ good }) => ({ claims: doubled(good.claims, 'grants', '[]') }),
  'without a word about a node': { claims: { node: undefined } },
  'with nodes in a list': { claims: { node: ['edge-1'] } },
  'of a node that it does not name': { claims: { kind: 'node', node: null } },
  'of a user with a node': { claims: { node: 'edge-1' } },
  'that are a list': { claims: '[]' },
  'that are null': { claims: 'null' },
  'that are a text': { claims: '"admin"' },
  'that are a number': { claims: '1' },
  'that are empty': { claims: '{}' },
  'that are no JSON': { claims: '{' },
  'that go on after their end': ({ good }) => ({ claims: `${JSON.stringify(good.claims)}{}` }),
  'that begin with a byte order mark': ({ good }) => ({ claims: `\ufeff${JSON.stringify(good.claims)}` }),
  'that are no UTF-8': ({ good }) => ({
    claims: Buffer.concat([
      Buffer.from(JSON.stringify({ ...good.claims, sub: '' }).replace('"sub":""', '"sub":"a')),
      Buffer.of(0xff),
      Buffer.from('"}'),
    ]),
  }),
  'that are of another type of token, as text': { claims: 'sub=admin&roles=*' },
});

const structure = listed('structure', {
  'the signature stripped': async (forge) => (await forge()).replace(/[^.]+$/, ''),
  'the signature and its dot stripped': async (forge) =>
    partsOf(await forge())
      .slice(0, 2)
      .join('.'),
  'the signature cut short': async (forge) => (await forge()).slice(0, -2),
  'the signature cut in half': async (forge) => (await forge()).slice(0, -43),
  'the signature longer': async (forge) => `${await forge()}AAAA`,
  'the signature twice': async (forge) => `${await forge()}.${partsOf(await forge())[2]}`,
  'the signature of zeros': { sign: zeros },
  'the signature of noise': { sign: noise },
  'the signature of other claims': async (forge) => {
    const [header, , signature] = partsOf(await forge());
    return `${header}.${base64url(JSON.stringify({ ...forge.good.claims, sub: 'root' }))}.${signature}`;
  },
  'the signature of another header': async (forge) => {
    const [, claimed, signature] = partsOf(await forge());
    return `${base64url(JSON.stringify({ ...forge.good.header, x: 1 }))}.${claimed}.${signature}`;
  },
  'wider grants under an old signature': async (forge) => {
    const [header, , signature] = partsOf(await forge());
    const grants = [{ roles: ['*'], actions: ['*'] }];
    return `${header}.${base64url(JSON.stringify({ ...forge.good.claims, grants }))}.${signature}`;
  },
  'the bits that the last letter has too many': async (forge) => lastLetterTurned(await forge()),
  padding: async (forge) => `${await forge()}==`,
  'padding within': async (forge) => (await forge()).replace('.', '=.'),
  'letters of plain base64': async (forge) =>
    (await forge()).replaceAll('-', '+').replaceAll('_', '/').replace(/$/, '+'),
  'a space before': async (forge) => ` ${await forge()}`.replace(' ', '%20'),
  'a space within': async (forge) => (await forge()).replace('.', '. '),
  'a line break within, escaped': async (forge) => (await forge()).replace('.', '.%0a'),
  'two tokens, one after the other': async (forge) => `${await forge()}${await forge()}`,
  'two tokens, parted by a comma': async (forge) => `${await forge()},${await forge()}`,
  'a dot before': async (forge) => `.${await forge()}`,
  'a dot after': async (forge) => `${await forge()}.`,
  'two dots': async (forge) => (await forge()).replace('.', '..'),
  'four parts': async (forge) => `${await forge()}.AAAA`,
  'five parts, as if it were encrypted': async (forge) => `${await forge()}.AAAA.AAAA`,
  'five parts of nothing': async () => '....',
  'two dots and nothing else': async () => '..',
  'the claims alone': async (forge) => partsOf(await forge())[1],
  'as JSON': async (forge) => {
    const [header, payload, signature] = partsOf(await forge());
    return JSON.stringify({ protected: header, payload, signature });
  },
  'as an id of its own': async (forge) => String(forge.good.claims['jti']),
  'one letter more than looked at': async (forge) => `${'a'.repeat(8193 - 4)}.b.${(await forge()).slice(0, 1)}`,
  'a megabyte': async () => `${'a'.repeat(1_000_000)}.b.c`,
  'the claims of a megabyte': async (forge) => forge({ claims: { sub: 'a'.repeat(1_000_000) } }),
  'thousands of grants': async (forge) =>
    forge({ claims: { grants: Array.from({ length: 2000 }, () => ({ roles: ['*'], actions: ['*'] })) } }),
  'claims nested a thousand deep': async (forge) =>
    forge({ claims: `{"sub":${'['.repeat(1000)}${']'.repeat(1000)}}`, sign: noise }),
});

/** The last letter of 64 bytes in base64url has four bits that say nothing: turned, they would make another token of the same one. */
function lastLetterTurned(token: string): string {
  const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return token.slice(0, -1) + LETTERS.charAt(LETTERS.indexOf(token.slice(-1)) ^ 1);
}

export const OWN_TOKEN_ATTACKS: readonly Attack[] = [
  ...algorithms,
  ...keys,
  ...headers,
  ...times,
  ...claims,
  ...structure,
];
