/** Draws requests: most of them nearly right, since only those come far, and a part spoilt in a few places. */
import { utf8Encode } from '../../shared/util/codec.ts';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { HOSTILE_BODIES, HOSTILE_TEXTS, spoilt } from './hostile.ts';
import { drawnValue, type ValueSource } from './schema-values.ts';
import type { Parameter, Site, Surface } from './surface.ts';
import { kindOfName, type Names, type TokenKind, type World } from './world.ts';

export interface DrawnRequest {
  readonly site: Site;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array | null;
}

export interface RequestSource {
  readonly surface: Surface;
  readonly world: Pick<World, 'tokens' | 'epoch'>;
  readonly names: Names;
}

const BASE = 'http://berth.test';
const MESOS_CHANCE = 0.35;
const SPOILT_BODY_CHANCE = 0.3;
const HOSTILE_BODY_CHANCE = 0.05;
const HOSTILE_PARAMETER_CHANCE = 0.1;
const ODD_METHOD_CHANCE = 0.02;
const ODD_HEADER_CHANCE = 0.08;

export function drawRequest(source: RequestSource, random: SeededRandom): DrawnRequest {
  const door = random.chance(MESOS_CHANCE) ? 'mesos' : 'api';
  const site = random.pick(source.surface.sites.filter((each) => each.door === door));
  const values = valueSource(source, random);
  const method = random.chance(ODD_METHOD_CHANCE)
    ? random.pick(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PURGE'])
    : site.method;
  const takesBody = method !== 'GET' && method !== 'HEAD';
  return {
    site,
    method,
    url: BASE + pathOf(site, source, values) + queryOf(site, values),
    headers: headersOf(site, source, values),
    body: takesBody ? bodyOf(site, values) : null,
  };
}

function valueSource({ surface, names }: RequestSource, random: SeededRandom): ValueSource {
  return {
    random,
    resolve: surface.resolve,
    meaningful(member, chance) {
      const kind = kindOfName(member);
      const known = kind === null ? [] : (names[kind] ?? []);
      if (known.length > 0 && !chance.chance(0.1)) return chance.pick(known);
      return null;
    },
  };
}

function pathOf({ path }: Site, { names }: RequestSource, values: ValueSource): string {
  const { random } = values;
  return path.replace(/\{(\w+)\}/g, (_match, name: string, at: number) => {
    if (random.chance(HOSTILE_PARAMETER_CHANCE)) return encoded(random.pick(HOSTILE_TEXTS), random);
    // What a parameter names, the segment before it says: `/v1/jobs/{name}`.
    const before =
      path
        .slice(0, at - 1)
        .split('/')
        .pop() ?? '';
    const known = names[before] ?? [];
    if (known.length > 0) return encoded(random.pick(known), random);
    return encoded(String(drawnValue({ type: 'string' }, values, name)), random);
  });
}

/** A part of them isn't escaped as it should be. */
function encoded(text: string, random: SeededRandom): string {
  if (random.chance(0.05)) return text.replace(/[^\x21-\x7e]/g, '%').replace(/[#?]/g, '');
  return encodeURIComponent(text.toWellFormed());
}

function queryOf({ parameters }: Site, values: ValueSource): string {
  const { random } = values;
  const query = new URLSearchParams();
  for (const parameter of parameters) {
    if (parameter.in !== 'query' || !(parameter.required === true || random.chance(0.3))) continue;
    query.append(parameter.name, parameterText(parameter, values));
    if (random.chance(0.02)) query.append(parameter.name, random.pick(HOSTILE_TEXTS));
  }
  if (random.chance(0.02)) query.append(random.pick(HOSTILE_TEXTS), random.pick(HOSTILE_TEXTS));
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

function parameterText({ name, schema }: Parameter, values: ValueSource): string {
  const { random } = values;
  if (random.chance(HOSTILE_PARAMETER_CHANCE)) return random.pick(HOSTILE_TEXTS);
  const value = drawnValue(schema, values, name);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function headersOf(site: Site, source: RequestSource, values: ValueSource): [string, string][] {
  const { random } = values;
  const headers: [string, string][] = [];
  const authorization = authorizationOf(site, source, random);
  if (authorization !== null) headers.push(['authorization', authorization]);
  if (site.body !== null) {
    headers.push(['content-type', random.chance(0.03) ? random.pick(['text/plain', 'a/b', '']) : site.mediaType]);
  }
  if (site.path.startsWith('/v1/agent/')) {
    headers.push(['berth-epoch', random.chance(0.1) ? random.pick(HOSTILE_TEXTS) : String(source.world.epoch)]);
  }
  for (const parameter of site.parameters) {
    if (parameter.in !== 'header' || !random.chance(0.15)) continue;
    headers.push([parameter.name, headerText(parameter.name, random)]);
  }
  if (random.chance(ODD_HEADER_CHANCE)) headers.push(oddHeader(random));
  return headers.filter(([name, value]) => isSendable(name, value));
}

const HEADER_TEXTS: Readonly<Record<string, readonly string[]>> = {
  'If-Match': ['"1"', '"2"', '*', 'W/"1"', '"', '1', '"99999999999999999999"'],
  'If-None-Match': ['*', '"1"', 'x'],
  'Idempotency-Key': Array.from({ length: 40 }, (_, place) => `key-${place}`),
  'Berth-Revision': ['1', '0', '1.1', '2.1', 'x', '-1', '99999999999999999999', '1.99999999999999999999'],
};

function headerText(name: string, random: SeededRandom): string {
  if (random.chance(0.2)) return random.pick(HOSTILE_TEXTS);
  return random.pick(HEADER_TEXTS[name] ?? ['1', '0', 'x']);
}

function oddHeader(random: SeededRandom): [string, string] {
  return random.pick<[string, string]>([
    ['accept', 'text/event-stream'],
    ['accept', 'application/xml;q=0'],
    ['accept', 'application/recordio'],
    ['last-event-id', random.pick(['1.1', '1.5', 'x', ...HOSTILE_TEXTS])],
    ['content-encoding', 'gzip'],
    ['content-length', '5'],
    ['transfer-encoding', 'chunked'],
    ['x-forwarded-for', '10.0.0.1, evil'],
    ['forwarded', 'for=evil'],
    ['host', 'evil.test'],
    ['origin', 'https://evil.test'],
    ['x-http-method-override', 'DELETE'],
    ['mesos-stream-id', random.pick(HOSTILE_TEXTS)],
    ['range', 'bytes=0-1'],
    ['cookie', 'a=b'],
  ]);
}

/** Whom a route is for calls it mostly; everybody calls everything sometimes. */
function authorizationOf({ path, door }: Site, { world }: RequestSource, random: SeededRandom): string | null {
  const usual: TokenKind = path.startsWith('/v1/agent/') ? 'node' : path.startsWith('/v1/peer/') ? 'peer' : 'admin';
  const who = random.weighted({ usual: 80, narrow: 7, node: 2, join: 2, peer: 1, none: 3, odd: 5 });
  if (who === 'none') return null;
  if (who === 'odd') return oddAuthorization(world.tokens.admin, random);
  const token = world.tokens[who === 'usual' ? usual : who];
  return door === 'mesos' && random.chance(0.3) ? `Basic ${btoa(`painter:${token}`)}` : `Bearer ${token}`;
}

function oddAuthorization(token: string, random: SeededRandom): string {
  const [head = '', claims = '', signature = ''] = token.split('.');
  return random.pick([
    'Bearer',
    'Bearer ',
    'Bearer x',
    `Bearer ${head}.${claims}.`,
    `Bearer ${head}.${claims}`,
    `Bearer ${claims}.${claims}.${signature}`,
    `Bearer ${head}.${claims}.${signature.slice(1)}A`,
    `bearer ${token}${token}`,
    `Basic ${btoa('a:b')}`,
    'Basic Og==',
    'Basic !!!',
    `Digest ${token}`,
    `Bearer ${'a'.repeat(9000)}.b.c`,
  ]);
}

function bodyOf({ body, mediaType }: Site, values: ValueSource): Uint8Array | null {
  const { random } = values;
  if (random.chance(HOSTILE_BODY_CHANCE)) {
    const hostile = random.pick(HOSTILE_BODIES);
    return typeof hostile === 'string' ? utf8Encode(hostile) : hostile;
  }
  if (body === null) return null;
  const right = mediaType === 'application/x-ndjson' ? lines(values) : drawnValue(body, values);
  const value = random.chance(SPOILT_BODY_CHANCE) ? spoilt(right, random) : right;
  return utf8Encode(textOf(value, mediaType));
}

function lines({ random }: ValueSource): string {
  const line = JSON.stringify({ stream: 'stdout', atMs: 1, text: random.pick(HOSTILE_TEXTS) });
  return `${line}\n`.repeat(random.between(0, 3));
}

function textOf(value: unknown, mediaType: string): string {
  if (mediaType === 'application/x-ndjson') return typeof value === 'string' ? value : JSON.stringify(value);
  if (mediaType !== 'application/x-www-form-urlencoded') return JSON.stringify(value) ?? '';
  const form = new URLSearchParams();
  for (const [name, member] of Object.entries(value ?? {})) {
    form.append(name, typeof member === 'string' ? member : JSON.stringify(member));
  }
  return form.toString();
}

function isSendable(name: string, value: string): boolean {
  try {
    new Headers([[name, value]]);
    return true;
  } catch {
    return false;
  }
}
