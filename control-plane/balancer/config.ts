/**
 * The plan as haproxy reads it: the same plan gives the same text. Which backend a request for a virtual host goes to stands in a map
 * beside it, which haproxy looks up in a tree, so that a thousand hosts cost a request no more than one.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Holders, hostClaim, portClaim } from './claims.ts';
import type { Backend, Plan, ServicePort } from './plan.ts';
import { type BalancerSettings, bindText } from './settings.ts';
import type { Slot } from './slots.ts';

/** What haproxy is started with. Files are named after what is in them, so that one that is in use never changes. */
export interface Configuration {
  /** Stands in the text; a running worker tells it. */
  readonly id: string;
  readonly text: string;
  readonly files: readonly ConfigurationFile[];
}

export interface ConfigurationFile {
  readonly path: string;
  readonly text: string;
}

/** PEM files that can be used, by path, with something that changes when one of them does. */
export interface Certificates {
  readonly paths: readonly string[];
  readonly stamp: string;
}

export const WORKER_SOCKET = 'worker.sock';
export const MASTER_SOCKET = 'master.sock';
export const METRICS_SOCKET = 'metrics.sock';

export function configurationOf(
  plan: Plan,
  settings: BalancerSettings,
  certificates: Certificates | null,
): Configuration {
  const routes = file(
    settings,
    'hosts',
    plan.routes.map(({ host, path, backend }) => `${host}${path} ${backend}`),
  );
  const list =
    certificates === null || certificates.paths.length === 0
      ? null
      : file(settings, 'certificates', [`# ${certificates.stamp}`, ...certificates.paths]);
  const sections = [
    DEFAULTS,
    metricsFrontend(settings),
    ...hostFrontends(settings, { routes: routes.path, certificates: list?.path ?? null }),
    ...plan.ports.map((port) => portFrontend(port, settings)),
    NO_HOST,
    ...plan.backends.map((backend) => backendSection(backend, settings)),
  ];
  const body = sections.join('\n');
  const id = digest(body);
  return {
    id,
    text: `${globalSection(settings, id)}\n${body}`,
    files: list === null ? [routes] : [routes, list],
  };
}

/** What a running haproxy can't be told to change: everything but what the servers stand for. Equal texts, equal structures. */
export function structureOf({ backends, ports, routes }: Plan, certificates: Certificates | null): string {
  const sizes = backends.map(({ name, mode, slots }) => [name, mode, slots.length]);
  return JSON.stringify([sizes, ports, routes, certificates]);
}

/** Read back from what was written: service ports, and who has them and the paths of virtual hosts. */
export function servedBy(
  text: string,
  routes: string,
): { readonly ports: readonly number[]; readonly holders: Holders } {
  const sections = [...text.matchAll(/^# (\S+)\nbackend (\S+)$/gm)];
  const services = new Map(sections.map(([, service = '', backend = '']) => [backend, service]));
  const frontends = [...text.matchAll(/^frontend _port-(\d+)\n(?: {2}.*\n)*? {2}default_backend (\S+)$/gm)];
  const claims = [
    ...frontends.map(([, port, backend = '']) => [portClaim(Number(port)), services.get(backend)] as const),
    ...[...routes.matchAll(/^([^/\n]+)(\/\S*) (\S+)$/gm)].map(
      ([, host = '', path = '', backend = '']) => [hostClaim(host, path), services.get(backend)] as const,
    ),
  ];
  return {
    ports: frontends.map(([, port]) => Number(port)),
    holders: new Map(claims.flatMap(([claim, service]) => (service === undefined ? [] : [[claim, service] as const]))),
  };
}

function file({ folder }: BalancerSettings, name: string, lines: readonly string[]): ConfigurationFile {
  const text = lines.map((line) => `${line}\n`).join('');
  return { path: join(folder, `${name}-${digest(text)}.list`), text };
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** For how long the workers of before may go on with what is under way after a reload, such as downloads. */
const RELOAD_GRACE = '1h';

function globalSection({ folder }: BalancerSettings, id: string): string {
  return `# Written by berth balancer; changes are lost.
global
  description "berth ${id}"
  log stderr format raw daemon notice
  stats socket ${quoted(join(folder, WORKER_SOCKET))} mode 600 level admin expose-fd listeners
  hard-stop-after ${RELOAD_GRACE}
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphers ECDHE+AESGCM:ECDHE+CHACHA20
  tune.ssl.default-dh-param 2048
`;
}

/**
 * `idle-close-on-response`: a reload must not close a connection into which its client is just writing the next request.
 * `redispatch 1`: a connection that fails is tried again at once, and with another server. A node that is lost takes several servers
 * of a service with it, and a client that has asked before over its connection would be hung up on after the last try: so there
 * are `retries` enough to come past them.
 * The checks find within seconds what the agent's can't tell in time: a node that has lost its power. A server that
 * refuses three connections in a row is left out at once, until a check passes.
 */
const DEFAULTS = `defaults
  log global
  option dontlog-normal
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout queue 10s
  timeout tunnel 1h
  timeout client-fin 10s
  timeout server-fin 10s
  timeout http-request 30s
  timeout http-keep-alive 10s
  option idle-close-on-response
  option clitcpka
  option srvtcpka
  clitcpka-idle 60s
  clitcpka-intvl 10s
  srvtcpka-idle 60s
  srvtcpka-intvl 10s
  retries 10
  option redispatch 1
  default-server check inter 3s fastinter 500ms downinter 1s fall 2 rise 1 observe layer4 error-limit 3 on-error mark-down
  http-error status 503 content-type text/plain string "No task of this service can be reached now.\\n"
  http-error status 502 content-type text/plain string "The task of this service gave no valid answer.\\n"
  http-error status 504 content-type text/plain string "The task of this service took too long to answer.\\n"
`;

const NO_HOST = `backend _unknown
  mode http
  http-request return status 404 content-type text/plain string "No service is published under this host and path.\\n"
`;

function metricsFrontend({ folder }: BalancerSettings): string {
  return `frontend _metrics
  mode http
  bind ${quoted(`unix@${join(folder, METRICS_SOCKET)}`)} mode 600
  http-request use-service prometheus-exporter if { path /metrics }
`;
}

const FORWARDED = `  option forwardfor
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
`;

/** The proof of a name that a certificate is asked for with is fetched in the clear. */
const KEPT_IN_THE_CLEAR = '/.well-known/acme-challenge/';

function hostFrontends(
  settings: BalancerSettings,
  paths: { readonly routes: string; readonly certificates: string | null },
): readonly string[] {
  const { http, https } = settings;
  const routing = routingRules(paths.routes);
  const frontends: string[] = [];
  if (http !== null) {
    const redirect =
      settings.redirectsToHttps && https !== null && paths.certificates !== null ? redirectRule(https.port) : '';
    frontends.push(
      `frontend _http\n  mode http\n  bind ${bindText(http)}\n${HOST_VARIABLE}${redirect}${FORWARDED}${routing}`,
    );
  }
  if (https !== null && paths.certificates !== null) {
    const bind = `bind ${bindText(https)} ssl crt-list ${quoted(paths.certificates)} alpn h2,http/1.1`;
    frontends.push(`frontend _https\n  mode http\n  ${bind}\n${HOST_VARIABLE}${FORWARDED}${routing}`);
  }
  return frontends;
}

const HOST_VARIABLE = `  http-request set-var(txn.host) req.hdr(host),field(1,:),lower,rtrim(.)
  http-request set-var(txn.path) path
`;

function redirectRule(port: number): string {
  const host = port === 443 ? '%[var(txn.host)]' : `%[var(txn.host)]:${port}`;
  return `  http-request redirect location https://${host}%[pathq] code 308 unless { path_beg ${KEPT_IN_THE_CLEAR} }\n`;
}

/** A name before a wildcard, and within a name the longest path. A wildcard stands for one label, as in a certificate. */
function routingRules(routes: string): string {
  const found = (variable: string) => `{ var(txn.${variable}) -m found }`;
  const lookUp = `concat(,txn.path),map_beg(${routes})`;
  return `  http-request set-var(txn.exact) ${quoted(`var(txn.host),${lookUp}`)}
  http-request set-var(txn.wild) ${quoted(`var(txn.host),regsub(^[^.]*,*),${lookUp}`)} unless ${found('exact')}
  use_backend %[var(txn.exact)] if ${found('exact')}
  use_backend %[var(txn.wild)] if ${found('wild')}
  default_backend _unknown
`;
}

function portFrontend({ port, backend, mode }: ServicePort, { serviceHost }: BalancerSettings): string {
  return `frontend _port-${port}
  mode ${mode}
  bind ${bindText({ host: serviceHost, port })}
${mode === 'http' ? FORWARDED : ''}  default_backend ${backend}
`;
}

/**
 * A request that a task gave no answer to is sent to another one only if repeating it does no harm. And as no other request can be
 * repeated, none is sent over a connection that its task may just be closing, unless that was asked for.
 */
function backendSection({ name, service, mode, slots }: Backend, { reusesConnections }: BalancerSettings): string {
  const http = `  balance roundrobin
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE }
  ${reusesConnections ? 'http-reuse safe' : 'option http-server-close'}
`;
  const rules = mode === 'http' ? http : '  balance leastconn\n';
  return `# ${onOneLine(service)}\nbackend ${name}\n  mode ${mode}\n${rules}${slots.map(serverLine).join('')}`;
}

function serverLine(slot: Slot, index: number): string {
  const { endpoint, address, port, use } = slot;
  if (endpoint === null || use === 'off') return `  server s${index + 1} 127.0.0.1:1 disabled\n`;
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return `  server s${index + 1} ${place} weight ${weightOf(use)} # ${onOneLine(endpoint)}\n`;
}

/** What stands in a comment must not end it. */
function onOneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '_');
}

/** A server without weight finishes what it has, and gets nothing new. */
export function weightOf(use: 'use' | 'drain'): number {
  return use === 'use' ? 100 : 0;
}

/** In double quotes nothing is special but these. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[\\"$]/g, (special) => `\\${special}`)}"`;
}
