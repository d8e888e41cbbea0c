/** What a balancer tells of itself. Pure. */
import type { Trouble } from './claims.ts';
import type { Plan } from './plan.ts';

/** What it has done since it was started. */
export interface Tally {
  readonly reloads: number;
  /** To servers of the running haproxy. */
  readonly commands: number;
  /** Of haproxy, after it had ended by itself. */
  readonly restarts: number;
  /** Lists of endpoints that have come in. */
  readonly lists: number;
  /** How often what was wanted has been compared with what runs, and brought about as far as it could be. */
  readonly applied: number;
  readonly lastChange: { readonly atMs: number; readonly tookMs: number; readonly how: string } | null;
  /** Why the endpoints can't be had now; null: they can. */
  readonly sourceTrouble: string | null;
}

export interface BalancerStatus {
  /** Whether a haproxy runs. */
  readonly serving: boolean;
  readonly haproxyPid: number | null;
  readonly tally: Tally;
  readonly troubles: readonly Trouble[];
  readonly ports: Plan['ports'];
  readonly routes: Plan['routes'];
  readonly services: readonly {
    readonly service: string;
    readonly mode: 'http' | 'tcp';
    readonly servers: readonly {
      readonly server: string;
      readonly endpoint: string;
      readonly address: string;
      readonly use: string;
    }[];
  }[];
}

export function statusOf({
  plan,
  troubles,
  tally,
  haproxyPid,
}: {
  plan: Plan;
  troubles: readonly Trouble[];
  tally: Tally;
  haproxyPid: number | null;
}): BalancerStatus {
  const services = plan.backends.map(({ service, mode, slots }) => ({
    service,
    mode,
    servers: slots.flatMap(({ endpoint, address, port, use }, index) =>
      endpoint === null ? [] : [{ server: `s${index + 1}`, endpoint, address: `${address}:${port}`, use }],
    ),
  }));
  return {
    serving: haproxyPid !== null,
    haproxyPid,
    tally,
    troubles,
    ports: plan.ports,
    routes: plan.routes,
    services,
  };
}
