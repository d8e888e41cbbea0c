/** How reservations and volumes look to a person. */
import type { ReservationView, VolumeView } from '../../../shared/protocol/reservations.ts';
import type { ListShape } from './printer.ts';
import { amountsText } from './role-shapes.ts';
import { ageText, mebibytesText } from './text.ts';

export const reservationShape: ListShape<ReservationView> = {
  noun: 'reservation',
  nameOf: ({ node, id }) => `${node}/${id}`,
  columns: (nowMs) => [
    { header: 'NODE', value: (one) => one.node, shrinks: true },
    { header: 'ID', value: (one) => one.id, shrinks: true },
    { header: 'ROLE', value: (one) => one.role, shrinks: true },
    { header: 'RESERVED', value: (one) => scalarsText(one.amounts), shrinks: true },
    { header: 'FREE', value: (one) => scalarsText(one.free), shrinks: true },
    { header: 'TASKS', value: (one) => String(one.tasks.length), align: 'right' },
    { header: 'VOLUMES', value: (one) => String(one.volumes.length), align: 'right' },
    { header: 'SOURCE', value: (one) => one.source },
    { header: 'AGE', value: (one) => ageText(one.at, nowMs) },
  ],
};

export const volumeShape: ListShape<VolumeView> = {
  noun: 'volume',
  nameOf: ({ node, id }) => `${node}/${id}`,
  columns: (nowMs) => [
    { header: 'NODE', value: (one) => one.node, shrinks: true },
    { header: 'ID', value: (one) => one.id, shrinks: true },
    { header: 'ROLE', value: (one) => one.role, shrinks: true },
    { header: 'RESERVATION', value: (one) => one.reservation, shrinks: true },
    { header: 'SIZE', value: (one) => mebibytesText(one.sizeMiB), align: 'right' },
    { header: 'STATE', value: (one) => (one.removing ? 'removing' : 'there'), colour: stateColourOf },
    { header: 'TASKS', value: (one) => String(one.tasks.length), align: 'right' },
    { header: 'AGE', value: (one) => ageText(one.at, nowMs) },
  ],
};

function stateColourOf({ removing }: VolumeView) {
  return removing ? 'yellow' : 'green';
}

/** Only what there is any of. */
function scalarsText({ custom, ...fixed }: ReservationView['amounts']): string {
  return amountsText(Object.fromEntries(Object.entries({ ...fixed, ...custom }).filter(([, amount]) => amount !== 0)));
}
