/** How a balancer's state looks to a person. */
import type { BalancerStatus } from '../../balancer/status.ts';
import type { Paint } from './paint.ts';
import { renderTable } from './table.ts';
import { ageText, printable } from './text.ts';

/** A line about itself, what it can't do, and each service with where it is reached and how many tasks it has. */
export function balancerText(status: BalancerStatus, paint: Paint, nowMs: number): string {
  const { haproxyPid, tally, troubles, services } = status;
  const process = haproxyPid === null ? paint('red', 'haproxy does not run') : `haproxy runs as process ${haproxyPid}`;
  const change = tally.lastChange;
  const last =
    change === null
      ? ''
      : `; last change ${ageText(new Date(change.atMs).toISOString(), nowMs)} ago, by ${change.how} in ${change.tookMs} ms`;
  const lines = [
    `${process}; ${tally.reloads} reloads, ${tally.restarts} restarts${last}`,
    ...(tally.sourceTrouble === null ? [] : [paint('red', `no endpoints: ${printable(tally.sourceTrouble)}`)]),
    ...troubles.map(({ service, message }) => paint('yellow', printable(`${service ?? 'balancer'} ${message}`))),
  ];
  const columns = [
    { header: 'SERVICE', value: (each: Service) => each.service, shrinks: true },
    { header: 'REACHED AT', value: (each: Service) => placesOf(status, each), shrinks: true },
    { header: 'IN USE', value: (each: Service) => countOf(each, 'use'), align: 'right' },
    { header: 'DRAINING', value: (each: Service) => countOf(each, 'drain'), align: 'right' },
  ] as const;
  return `${lines.join('\n')}\n\n${renderTable(columns, services, { width: null, paint })}`;
}

type Service = BalancerStatus['services'][number];

function placesOf({ ports, routes }: BalancerStatus, { backend }: Service): string {
  const own = ports.filter((port) => port.backend === backend).map(({ port, mode }) => `:${port} (${mode})`);
  const hosts = routes.filter((route) => route.backend === backend).map(({ host, path }) => `${host}${path}`);
  return [...own, ...hosts].join(', ');
}

function countOf({ servers }: Service, use: 'use' | 'drain'): string {
  return String(servers.filter((server) => server.use === use).length);
}
