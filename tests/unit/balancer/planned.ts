/** Plans from literals. */
import { EMPTY_PLAN, nextPlan, type Plan, type PlanInput } from '../../../control-plane/balancer/plan.ts';
import type { BalancerSettings } from '../../../control-plane/balancer/settings.ts';

export const SETTINGS: BalancerSettings = {
  http: { host: '', port: 80 },
  https: null,
  certsDir: null,
  redirectsToHttps: false,
  serviceHost: '',
  reusesConnections: false,
  folder: '/run/berth',
  ownPorts: [7880],
};

export function planOf(given: Partial<PlanInput>): Plan {
  return nextPlan({
    endpoints: [],
    addresses: new Map(),
    refused: new Map(),
    settings: SETTINGS,
    before: EMPTY_PLAN,
    nowMs: 0,
    ...given,
  });
}

/** `task=use`, of the servers that stand for something. */
export function usesOf({ backends }: Plan): string[] {
  return backends.flatMap(({ slots }) =>
    slots.flatMap(({ endpoint, use }) => (endpoint === null ? [] : [`${endpoint.split('/')[0]}=${use}`])),
  );
}
