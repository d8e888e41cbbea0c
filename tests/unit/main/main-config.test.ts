import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../../../control-plane/main-config.ts';
import { RETENTION_DEFAULTS } from '../../../control-plane/reconcile/retention-pass.ts';

function config(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const read = readConfig(args, env, (path) => `contents of ${path}`);
  if (typeof read === 'string') throw new Error(`there is no configuration, only ${read}`);
  return read;
}

describe('the issuer of tokens of tasks', () => {
  it('is nobody that others know unless it is said', () => {
    expect(config().issuerUrl).toBe(null);
    expect(config(['--issuer-url', 'https://berth.example.com/']).issuerUrl).toBe('https://berth.example.com');
  });

  it.each(['http://berth.example.com', 'berth', 'https://berth.example.com?x=1', 'https://user@berth.example.com'])(
    'is not %s',
    (value) => expect(() => config(['--issuer-url', value])).toThrow('--issuer-url'),
  );
});

describe("etcd's quota", () => {
  it("is etcd's default unless it is said otherwise", () => {
    expect(config().etcdQuotaBytes).toBe(2 * 1024 ** 3);
    expect(config([], { BERTH_ETCD_QUOTA_BYTES: '8589934592' }).etcdQuotaBytes).toBe(8 * 1024 ** 3);
  });

  it.each(['0', '2GiB', '16777215'])('is not %s', (value) => {
    expect(() => config(['--etcd-quota-bytes', value])).toThrow('--etcd-quota-bytes');
  });
});

describe('tokens and keys', () => {
  it('have bounds by default', () => {
    expect(config()).toMatchObject({
      ...{ userTokenDaysMax: 90, bootstrapTokenHours: 24, rotateKeysAfterDays: 90, breakGlass: null },
    });
  });

  it('have others by flags, before the environment', () => {
    const args = ['--user-token-days', '7', '--bootstrap-token-hours', '168', '--rotate-keys-after', '0'];
    const env = { BERTH_USER_TOKEN_DAYS: '30', BERTH_ROTATE_KEYS_AFTER: '10' };
    const set = { userTokenDaysMax: 7, bootstrapTokenHours: 168 };
    expect(config(args, env)).toMatchObject({ ...set, rotateKeysAfterDays: null });
    expect(config([], env)).toMatchObject({ userTokenDaysMax: 30, rotateKeysAfterDays: 10 });
  });

  it('are made past all rights for a reason, for minutes, and never by the environment', () => {
    expect(config(['--break-glass', 'lost all'])).toMatchObject({ breakGlass: { reason: 'lost all', minutes: 15 } });
    const args = ['--break-glass', 'lost all', '--break-glass-minutes', '60'];
    expect(config(args)).toMatchObject({ breakGlass: { minutes: 60 } });
    expect(config([], { BERTH_BREAK_GLASS: 'always', BERTH_BREAK_GLASS_MINUTES: '5' }).breakGlass).toBeNull();
  });

  it.each([
    [['--user-token-days', '0'], '--user-token-days'],
    [['--user-token-days', '366'], '--user-token-days'],
    [['--user-token-days', '1', '--bootstrap-token-hours', '25'], '--bootstrap-token-hours'],
    [['--rotate-keys-after', '-1'], '--rotate-keys-after'],
    [['--break-glass', ' '], '--break-glass has to say why'],
    [['--break-glass-minutes', '5'], '--break-glass has to say why'],
    [['--break-glass', 'x', '--break-glass-minutes', '61'], '--break-glass-minutes'],
  ])('are not set by %j', (args, message) => {
    expect(() => config(args)).toThrow(ConfigError);
    expect(() => config(args)).toThrow(message);
  });
});

describe("etcd's JSON gateway", () => {
  const headersOf = (text: string) => {
    const read = readConfig(['--etcd-gateway', '--etcd-headers-file', 'h'], {}, () => text);
    if (typeof read === 'string') throw new Error(`there is no configuration, only ${read}`);
    return read.etcdGateway?.headers;
  };

  it('is used when it is asked for', () => {
    expect(config().etcdGateway).toBeNull();
    expect(config(['--etcd-gateway']).etcdGateway).toEqual({ headers: {} });
    expect(config([], { BERTH_ETCD_GATEWAY: '1' }).etcdGateway).toEqual({ headers: {} });
    expect(config([], { BERTH_ETCD_GATEWAY: '0' }).etcdGateway).toBeNull();
    expect(() => config([], { BERTH_ETCD_GATEWAY: 'yes' })).toThrow('BERTH_ETCD_GATEWAY="yes" is neither 1 nor 0');
  });

  it('gets the headers that a file holds', () => {
    expect(headersOf('X-Key: a b:c \r\n\nX-Other:1\n')).toEqual({ 'X-Key': 'a b:c', 'X-Other': '1' });
    for (const text of ['secret', 'X Y: secret', 'X: secret\u0000', 'X:', ': secret']) {
      expect(() => headersOf(`A: 1\n${text}`)).toThrow(/line 2 is not "Name: value"(?!.*secret)/);
    }
    expect(() => config(['--etcd-headers-file', 'h'])).toThrow('give --etcd-gateway as well');
  });

  it('is not told of authorities and certificates, which are for gRPC', () => {
    expect(() => config(['--etcd-gateway', '--etcd-ca', 'ca'])).toThrow('NODE_EXTRA_CA_CERTS');
    expect(() => config(['--etcd-gateway', '--etcd-cert', 'c', '--etcd-key', 'k'])).toThrow('NODE_EXTRA_CA_CERTS');
  });
});

describe('what is kept of what has ended', () => {
  it('is bounded by default', () => {
    expect(config().retention).toEqual(RETENTION_DEFAULTS);
  });

  it('is set by flags, before the environment', () => {
    const args = ['--keep-ended', '2', '--keep-ended-jobs', '0', '--keep-ended-tasks', '7'];
    const env = { BERTH_KEEP_ENDED: '9', BERTH_KEEP_VERSIONS: '3' };
    const hours = 2 * 3_600_000;
    expect(config(args, env).retention).toEqual({ keepMs: hours, endedJobsMax: 0, endedTasksMax: 7, versionsMax: 3 });
  });

  it.each([
    ['--keep-ended', '0'],
    ['--keep-ended', 'week'],
    ['--keep-ended-jobs', '-1'],
    ['--keep-ended-tasks', '1.5'],
    ['--keep-versions', '0'],
    ['--keep-versions', '100001'],
  ])('is not %s=%s', (flag, value) => {
    expect(() => config([`${flag}=${value}`])).toThrow(ConfigError);
    expect(() => config([`${flag}=${value}`])).toThrow(flag);
  });
});

describe('who speaks to the Mesos door without a token', () => {
  it('is nobody unless roles are named', () => {
    expect(config().mesosAnonymous).toBeNull();
    expect(config(['--mesos-anonymous', 'default, eng/ml']).mesosAnonymous).toMatchObject({
      roles: ['default', 'eng/ml'],
    });
    expect(config(['--mesos-anonymous', 'eng']).mesosAnonymous?.actions).toContain('framework:*');
  });

  it('may do what is said in its place', () => {
    const env = { BERTH_MESOS_ANONYMOUS: 'eng', BERTH_MESOS_ANONYMOUS_ACTIONS: 'framework:run,job:host-network' };
    expect(config([], env).mesosAnonymous).toEqual({ roles: ['eng'], actions: ['framework:run', 'job:host-network'] });
  });

  it.each([
    [['--mesos-anonymous', 'Eng'], '--mesos-anonymous "Eng" is no role'],
    [['--mesos-anonymous', '*'], '--mesos-anonymous "*" is no role'],
    [['--mesos-anonymous', 'eng', '--mesos-anonymous-actions', '*'], '--mesos-anonymous-actions "*" is not among'],
    [['--mesos-anonymous-actions', 'framework:run'], '--mesos-anonymous has to say in which roles'],
  ])('is never %j', (args, why) => {
    expect(() => config(args)).toThrow(why);
  });
});

describe('names', () => {
  it('are answered where it is said, and nowhere else', () => {
    expect(config().dns).toBeNull();
    expect(config(['--dns-listen', '10.0.0.1:53']).dns).toEqual({
      listen: { host: '10.0.0.1', port: 53 },
      domain: 'berth',
      ttlSeconds: 5,
    });
    const env = { BERTH_DNS_LISTEN: '[::1]:5353', BERTH_DNS_DOMAIN: 'Svc.Example.', BERTH_DNS_TTL: '0' };
    expect(config([], env).dns).toEqual({
      listen: { host: '::1', port: 5353 },
      domain: 'svc.example',
      ttlSeconds: 0,
    });
  });

  it.each([
    [['--dns-listen', 'here'], '--dns-listen "here" is not HOST:PORT'],
    [['--dns-domain', 'berth'], '--dns-domain is about names that are answered; --dns-listen has to say where'],
    [['--dns-listen', ':53', '--dns-domain', '_x'], '--dns-domain "_x" is not a name such as berth'],
    [['--dns-listen', ':53', '--dns-ttl', '1d'], '--dns-ttl "1d" is not a whole number of seconds from 0 to 3600'],
  ])('can not be had with %j', (args, message) => expect(() => config(args)).toThrow(message));
});
