/** How endpoints look to a person. */
import type { EndpointView } from '../../../shared/protocol/endpoints.ts';
import { jobName } from '../arguments.ts';
import { stateColour } from './paint.ts';
import type { ListShape } from './printer.ts';
import { ageText, printable } from './text.ts';

export const endpointShape: ListShape<EndpointView> = {
  noun: 'endpoint',
  nameOf: ({ id }) => id,
  columns: (nowMs) => [
    { header: 'JOB', value: ({ role, job }) => jobName({ role, name: job }), shrinks: true },
    { header: 'GROUP', value: ({ group }) => group, shrinks: true },
    { header: 'INDEX', value: ({ index }) => String(index), align: 'right' },
    { header: 'PORT', value: ({ portName }) => portName },
    { header: 'ADDRESS', value: addressText },
    { header: 'STATE', value: ({ state }) => state, colour: ({ state }) => stateColour(state) },
    { header: 'SINCE', value: ({ since }) => ageText(since, nowMs) },
    { header: 'NODE', value: ({ node }) => node, shrinks: true },
    { header: 'VERSION', value: ({ version }) => String(version), align: 'right' },
  ],
};

/** `10.0.0.7:31001`, and with `/udp` where it isn't what most ports are. */
function addressText({ address, port, protocol }: EndpointView): string {
  const host = address.includes(':') ? `[${address}]` : printable(address);
  return `${host}:${port}${protocol === 'udp' ? '/udp' : ''}`;
}
