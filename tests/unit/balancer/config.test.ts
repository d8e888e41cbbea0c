import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configurationOf, servedBy, structureOf } from '../../../control-plane/balancer/config.ts';
import { arbitraryEndpoints } from '../../support/arbitrary-endpoints.ts';
import { endpointOf } from '../../support/endpoints.ts';
import { planOf, SETTINGS } from './planned.ts';

/** From the first frontend of services on. */
function served(text: string): string {
  return text.slice(text.indexOf('frontend _http'));
}

describe('the configuration', () => {
  it('of a database and a site', () => {
    const plan = planOf({
      endpoints: [
        endpointOf({ job: 'db', role: 'eng/ml', task: 'db-1', port: 31_000, publish: { mode: 'tcp', port: 5432 } }),
        endpointOf({ task: 'web-1', address: 'fd00::1', port: 31_001 }),
        endpointOf({ task: 'web-2', address: '10.0.0.2', port: 31_002, state: 'draining' }),
      ],
    });
    const { text, files } = configurationOf(plan, SETTINGS, null);
    expect(files.map((file) => file.text)).toEqual(['web.example/ default:web:main:http\n']);
    const routes = files[0]?.path;
    const empty = (from: number) =>
      Array.from({ length: 9 - from }, (_, at) => `  server s${from + at} 127.0.0.1:1 disabled\n`).join('');
    expect(served(text)).toBe(`frontend _http
  mode http
  bind :::80 v4v6
  http-request set-var(txn.host) req.hdr(host),field(1,:),lower,rtrim(.)
  http-request set-var(txn.path) path
  option forwardfor
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-var(txn.exact) "var(txn.host),concat(,txn.path),map_beg(${routes})"
  http-request set-var(txn.wild) "var(txn.host),regsub(^[^.]*,*),concat(,txn.path),map_beg(${routes})" unless { var(txn.exact) -m found }
  use_backend %[var(txn.exact)] if { var(txn.exact) -m found }
  use_backend %[var(txn.wild)] if { var(txn.wild) -m found }
  default_backend _unknown

frontend _port-5432
  mode tcp
  bind :::5432 v4v6
  default_backend eng:ml:db:main:http

backend _unknown
  mode http
  http-request return status 404 content-type text/plain string "No service is published under this host and path.\\n"

# default/web/main/http
backend default:web:main:http
  mode http
  balance roundrobin
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless { method GET HEAD OPTIONS TRACE }
  option http-server-close
  server s1 [fd00::1]:31001 weight 100 # web-1/http
  server s2 10.0.0.2:31002 weight 0 # web-2/http
${empty(3)}
# eng/ml/db/main/http
backend eng:ml:db:main:http
  mode tcp
  balance leastconn
  server s1 127.0.0.1:31000 weight 100 # db-1/http
${empty(2)}`);
  });

  it('with TLS names the certificates, and sends there what comes in the clear', () => {
    const settings = {
      ...SETTINGS,
      https: { host: '10.0.0.1', port: 8443 },
      certsDir: '/certs',
      redirectsToHttps: true,
    };
    const none = configurationOf(planOf({}), settings, { paths: [], stamp: 'x' });
    expect(none.text).not.toContain('_https');
    expect(none.text).not.toContain('redirect');
    const { text, files } = configurationOf(planOf({}), settings, { paths: ['/certs/a.pem'], stamp: 'x' });
    expect(files[1]?.text).toBe('# x\n/certs/a.pem\n');
    expect(text).toContain(`bind 10.0.0.1:8443 ssl crt-list "${files[1]?.path}" alpn h2,http/1.1`);
    expect(text).toContain('redirect location https://%[var(txn.host)]:8443%[pathq] code 308 unless');
    const renewed = configurationOf(planOf({}), settings, { paths: ['/certs/a.pem'], stamp: 'y' });
    expect(renewed.id).not.toBe(none.id);
    expect(renewed.files[1]?.path).not.toBe(files[1]?.path);
  });

  it('lets no name begin a line of its own', () => {
    const odd = endpointOf({ id: 'x\nglobal', group: 'g\r\nbackend x', publish: { mode: 'tcp', port: 1001 } });
    const { text } = configurationOf(planOf({ endpoints: [odd] }), SETTINGS, null);
    expect(text).toContain('# x_global\n');
    expect(text).toContain('backend default:web:g_d__a_backend_20_x:http\n');
    expect(text.match(/^global$/gm)).toHaveLength(1);
  });

  it('uses idle connections again only where that was asked for', () => {
    const plan = planOf({ endpoints: [endpointOf()] });
    const { text } = configurationOf(plan, { ...SETTINGS, reusesConnections: true }, null);
    expect(text).toContain('http-reuse safe');
    expect(text).not.toContain('http-server-close');
  });

  it('of any endpoints names only what it has, a line each', () => {
    fc.assert(
      fc.property(arbitraryEndpoints, (endpoints) => {
        const { text, files } = configurationOf(planOf({ endpoints }), SETTINGS, null);
        const backends = new Set([...text.matchAll(/^backend (\S+)$/gm)].map(([, name]) => name));
        for (const line of files[0]?.text.split('\n').filter((each) => each !== '') ?? []) {
          expect(line).toMatch(/^\S+ \S+$/);
          expect(backends).toContain(line.split(' ')[1]);
        }
        for (const [, name] of text.matchAll(/^ {2}default_backend (\S+)$/gm)) expect(backends).toContain(name);
      }),
    );
  });
});

describe('the structure', () => {
  it('differs where a reload is needed, and not where tasks come and go', () => {
    const before = planOf({ endpoints: [endpointOf({ task: 'a' })] });
    const other = planOf({ endpoints: [endpointOf({ task: 'b', port: 4000, state: 'draining' })], before });
    const more = planOf({ endpoints: [endpointOf({ task: 'a' }), endpointOf({ job: 'next', task: 'c' })], before });
    const structure = (plan: typeof before) => structureOf(plan, null);
    expect(structure(other)).toBe(structure(before));
    expect(configurationOf(other, SETTINGS, null).id).not.toBe(configurationOf(before, SETTINGS, null).id);
    // It asks for the same host, so that it gets nothing; under another one it has a backend.
    expect(structure(more)).toBe(structure(before));
    expect(structureOf(before, { paths: [], stamp: 'x' })).not.toBe(structure(before));
    const host = endpointOf({ job: 'next', task: 'c', publish: { mode: 'http', hosts: ['next.example'] } });
    expect(structure(planOf({ endpoints: [endpointOf({ task: 'a' }), host], before }))).not.toBe(structure(before));
  });
});

it('tells what it serves, and for whom, to whoever reads it back', () => {
  fc.assert(
    fc.property(arbitraryEndpoints, (endpoints) => {
      const plan = planOf({ endpoints });
      const { text, files } = configurationOf(plan, SETTINGS, null);
      const { ports, holders } = servedBy(text, files[0]?.text ?? '');
      expect(ports).toEqual(plan.ports.map(({ port }) => port));
      expect(new Map(holders)).toEqual(new Map(plan.holders));
    }),
  );
});
