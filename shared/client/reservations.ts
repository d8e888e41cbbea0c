/** Calls about reservations and persistent volumes. */
import type { z } from 'zod';
import {
  type ReservationRequestInput,
  type ReservationView,
  reservationViewSchema,
  type VolumeView,
  type volumeRequestSchema,
  volumeViewSchema,
} from '../protocol/reservations.ts';
import { type Page, pageOf } from '../protocol/views.ts';
import { randomId } from '../util/random.ts';
import type { ApiRequest, Transport } from './transport.ts';

export interface HoldingQuery {
  readonly limit?: number;
  readonly after?: string | null;
  readonly node?: string | undefined;
  /** For this role and those below it; absent: all that the token may see. */
  readonly role?: string | undefined;
}

export interface ReservationCalls {
  list(query?: HoldingQuery): Promise<Page<ReservationView>>;
  create(node: string, request: ReservationRequestInput): Promise<ReservationView>;
  remove(node: string, id: string): Promise<ReservationView>;
}

export interface VolumeCalls {
  list(query?: HoldingQuery): Promise<Page<VolumeView>>;
  create(node: string, request: z.input<typeof volumeRequestSchema>): Promise<VolumeView>;
  /** With all that is in it. */
  remove(node: string, id: string): Promise<VolumeView>;
}

export function reservationCalls(transport: Transport): ReservationCalls {
  return holdingCalls(transport, 'reservations', reservationViewSchema);
}

export function volumeCalls(transport: Transport): VolumeCalls {
  return holdingCalls(transport, 'volumes', volumeViewSchema);
}

function holdingCalls<S extends z.ZodType>(transport: Transport, kind: 'reservations' | 'volumes', schema: S) {
  const at = (node: string, id?: string) =>
    `/v1/nodes/${encodeURIComponent(node)}/${kind}${id === undefined ? '' : `/${encodeURIComponent(id)}`}`;
  return {
    list: async (query: HoldingQuery = {}): Promise<Page<z.output<S>>> => {
      const request: ApiRequest = { method: 'GET', path: `/v1/${kind}`, query: { ...query }, repeat: 'safe' };
      return (await transport.call(request, pageOf(schema))).body;
    },
    create: async (node: string, body: unknown): Promise<z.output<S>> => {
      // The key makes all copies of the call one.
      const headers = { 'Idempotency-Key': randomId(transport.options.random, 26) };
      return (await transport.call({ method: 'POST', path: at(node), body, headers, repeat: 'safe' }, schema)).body;
    },
    remove: async (node: string, id: string): Promise<z.output<S>> =>
      (await transport.call({ method: 'DELETE', path: at(node, id), repeat: 'unsent' }, schema)).body,
  };
}
