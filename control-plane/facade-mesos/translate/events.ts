/** What Berth's streams of frameworks say, as events of Mesos. Pure. */
import type { NodeId } from '../../../shared/domain/ids.ts';
import type { FrameworkEvent, OfferView, TaskUpdateView } from '../../../shared/protocol/framework.ts';
import { unreachable } from '../../../shared/util/assert.ts';
import type { WireEvent, WireMasterInfo } from '../wire/event.ts';
import { base64OfText, operationUuidOf } from './ids.ts';
import { inverseOfferOf } from './maintenance.ts';
import { wireOffer } from './offers.ts';
import { type StatusFacts, wireOperationStatus, wireStatus } from './statuses.ts';
import type { WireFramework } from './wire-framework.ts';

/** What the events alone don't say. */
export interface EventFacts {
  readonly framework: WireFramework;
  readonly master: WireMasterInfo;
  readonly heartbeatSeconds: number;
  readonly resourcesOf: (offer: OfferView) => readonly object[];
  readonly factsOf: (update: TaskUpdateView) => StatusFacts;
  readonly attributesOf: (node: NodeId) => Readonly<Record<string, string>>;
}

/** Mesos says of a stream that another one has taken the place of. */
export const FAILED_OVER = 'Framework failed over';
export const REMOVED = 'Framework has been removed';

export function wireEvent(event: FrameworkEvent, facts: EventFacts): WireEvent {
  const { framework } = facts;
  switch (event.type) {
    case 'subscribed':
      return {
        type: 'SUBSCRIBED',
        subscribed: {
          framework_id: { value: framework.id },
          heartbeat_interval_seconds: facts.heartbeatSeconds,
          master_info: facts.master,
        },
      };
    case 'offers': {
      const offers = event.offers.map((offer) => wireOffer(offer, framework, facts.resourcesOf(offer)));
      return { type: 'OFFERS', offers: { offers } };
    }
    case 'offer-gone':
      return { type: 'RESCIND', rescind: { offer_id: { value: event.offer } } };
    case 'update': {
      const status = wireStatus(event.update, framework.capabilities, facts.factsOf(event.update));
      return { type: 'UPDATE', update: { status } };
    }
    case 'message': {
      const { node, task, data } = event.message;
      const message = { agent_id: { value: node }, executor_id: { value: task }, data: base64OfText(data) };
      return { type: 'MESSAGE', message };
    }
    case 'operation': {
      const { id } = event.operation;
      const status = wireOperationStatus(event.operation, id === null ? null : operationUuidOf(id));
      return { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } };
    }
    case 'maintenance': {
      const { notice } = event;
      const inverseOffer = inverseOfferOf(notice, framework.id, facts.attributesOf(notice.node));
      return { type: 'INVERSE_OFFERS', inverse_offers: { inverse_offers: [inverseOffer] } };
    }
    case 'maintenance-over':
      return { type: 'RESCIND_INVERSE_OFFER', rescind_inverse_offer: { inverse_offer_id: { value: event.notice } } };
    case 'node-lost':
      return { type: 'FAILURE', failure: { agent_id: { value: event.node } } };
    case 'superseded':
      return errorEvent(FAILED_OVER);
    case 'ended':
      return errorEvent(REMOVED);
    default:
      return unreachable(event);
  }
}

export function errorEvent(message: string): WireEvent {
  return { type: 'ERROR', error: { message } };
}
