/** What a balancer tells of itself. Pure. */
import { z } from 'zod';
import type { Trouble } from './claims.ts';
import type { Plan } from './plan.ts';

/** What it has done since it was started. */
const tallySchema = z.object({
  reloads: z.number(),
  /** To servers of the running haproxy. */
  commands: z.number(),
  /** Of haproxy, after it had ended by itself. */
  restarts: z.number(),
  /** Lists of endpoints that have come in. */
  lists: z.number(),
  /** How often what was wanted has been compared with what runs, and brought about as far as it could be. */
  applied: z.number(),
  lastChange: z.object({ atMs: z.number(), tookMs: z.number(), how: z.string() }).nullable(),
  /** Why the endpoints can't be had now; null: they can. */
  sourceTrouble: z.string().nullable(),
});
export type Tally = Readonly<z.output<typeof tallySchema>>;

const modeSchema = z.enum(['http', 'tcp']);
const serverSchema = z.object({
  server: z.string(),
  endpoint: z.string(),
  address: z.string(),
  use: z.enum(['use', 'drain', 'off']),
});

export const balancerStatusSchema = z.object({
  /** Whether a haproxy runs. */
  serving: z.boolean(),
  haproxyPid: z.number().nullable(),
  tally: tallySchema,
  troubles: z.array(z.object({ service: z.string().nullable(), message: z.string() })),
  ports: z.array(z.object({ port: z.number(), backend: z.string(), mode: modeSchema })),
  routes: z.array(z.object({ host: z.string(), path: z.string(), backend: z.string() })),
  services: z.array(
    z.object({ service: z.string(), backend: z.string(), mode: modeSchema, servers: z.array(serverSchema) }),
  ),
});
export type BalancerStatus = z.output<typeof balancerStatusSchema>;

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
  const services = plan.backends.map(({ service, name, mode, slots }) => ({
    service,
    backend: name,
    mode,
    servers: slots.flatMap(({ endpoint, address, port, use }, index) =>
      endpoint === null ? [] : [{ server: `s${index + 1}`, endpoint, address: `${address}:${port}`, use }],
    ),
  }));
  return {
    serving: haproxyPid !== null,
    haproxyPid,
    tally,
    troubles: [...troubles],
    ports: [...plan.ports],
    routes: [...plan.routes],
    services,
  };
}
