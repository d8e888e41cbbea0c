/** An issuer that isn't ours, such as a CI system: its keys, the tokens that it makes, and what it publishes, for msw to answer. */
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { HttpResponse, http, type RequestHandler } from 'msw';

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

export interface OutsideToken {
  readonly claims?: object;
  readonly header?: object;
  /** In place of the issuer's own. */
  readonly signer?: KeyPair;
}

export class FakeIssuer {
  readonly url: string;
  /** How often its keys have been fetched. */
  fetches = 0;
  readonly #pair: KeyPair;
  readonly #now: () => number;

  private constructor(url: string, pair: KeyPair, now: () => number) {
    this.url = url;
    this.#pair = pair;
    this.#now = now;
  }

  /** `now`: what time it is there. */
  static async create(url: string, now: () => number): Promise<FakeIssuer> {
    return new FakeIssuer(url, await generateKeyPair('RS256', { extractable: true }), now);
  }

  get handlers(): RequestHandler[] {
    return [
      http.get(`${this.url}/.well-known/openid-configuration`, () => HttpResponse.json(this.discovery)),
      http.get(`${this.url}/keys`, async () => HttpResponse.json(await this.keySet())),
    ];
  }

  get discovery(): Record<string, unknown> {
    return { issuer: this.url, jwks_uri: `${this.url}/keys` };
  }

  async keySet(): Promise<{ keys: object[] }> {
    this.fetches += 1;
    return { keys: [{ ...(await exportJWK(this.#pair.publicKey)), kid: 'a', alg: 'RS256', use: 'sig' }] };
  }

  /** For five minutes, unless the claims say otherwise. */
  token({ claims = {}, header = {}, signer = this.#pair }: OutsideToken = {}): Promise<string> {
    const nowSeconds = Math.floor(this.#now() / 1000);
    const payload: JWTPayload = {
      iss: this.url,
      aud: 'https://berth.example.com',
      sub: 'repo:acme/app:ref:refs/heads/main',
      iat: nowSeconds,
      exp: nowSeconds + 300,
      ...claims,
    };
    return new SignJWT(payload).setProtectedHeader({ alg: 'RS256', kid: 'a', ...header }).sign(signer.privateKey);
  }
}
