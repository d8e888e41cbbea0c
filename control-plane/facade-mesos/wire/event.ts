/** `scheduler::Event`: everything that a framework is told. What is unset is left out, as Mesos does. */
import type { WireId, WireLabel } from './values.ts';

export interface WireTime {
  readonly nanoseconds: number;
}

export interface WireAddress {
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
}

export interface WireMasterInfo {
  readonly id: string;
  /** Of IPv4, in the order of bytes of the network, as a number of the machine's. */
  readonly ip: number;
  readonly port: number;
  readonly pid: string;
  readonly hostname: string;
  readonly version: string;
  readonly address: WireAddress;
}

export interface WireUnavailability {
  readonly start: WireTime;
  readonly duration?: WireTime;
}

export interface WireAttribute {
  readonly name: string;
  readonly type: 'TEXT';
  readonly text: { readonly value: string };
}

export interface WireUrl {
  readonly scheme: 'http';
  readonly address: WireAddress;
  readonly path: string;
}

export interface WireDomain {
  readonly fault_domain: { readonly region: { readonly name: string }; readonly zone: { readonly name: string } };
}

export interface WireOffer {
  readonly id: WireId;
  readonly framework_id: WireId;
  readonly agent_id: WireId;
  readonly hostname: string;
  readonly url: WireUrl;
  readonly allocation_info?: { readonly role: string };
  readonly domain?: WireDomain;
  readonly resources: readonly object[];
  readonly attributes?: readonly WireAttribute[];
  readonly unavailability?: WireUnavailability;
}

export interface WireInverseOffer {
  readonly id: WireId;
  readonly framework_id: WireId;
  readonly agent_id: WireId;
  readonly url: WireUrl;
  readonly unavailability: WireUnavailability;
}

export const WIRE_TASK_STATES = [
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_RUNNING',
  'TASK_KILLING',
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_UNREACHABLE',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_UNKNOWN',
] as const;
export type WireTaskState = (typeof WIRE_TASK_STATES)[number];

export interface WireTaskStatus {
  readonly task_id: WireId;
  readonly state: WireTaskState;
  readonly message?: string;
  readonly source?: 'SOURCE_MASTER' | 'SOURCE_AGENT' | 'SOURCE_EXECUTOR';
  readonly reason?: string;
  readonly healthy?: boolean;
  readonly agent_id?: WireId;
  readonly executor_id?: WireId;
  /** Seconds since 1970. */
  readonly timestamp?: number;
  readonly uuid?: string;
  readonly unreachable_time?: { readonly nanoseconds: number };
  readonly labels?: { readonly labels: readonly WireLabel[] };
  readonly container_status?: {
    readonly network_infos: readonly { readonly ip_addresses: readonly { readonly ip_address: string }[] }[];
  };
}

export type WireOperationState = 'OPERATION_FINISHED' | 'OPERATION_ERROR' | 'OPERATION_DROPPED' | 'OPERATION_UNKNOWN';

export interface WireOperationStatus {
  readonly operation_id: WireId;
  readonly state: WireOperationState;
  readonly message?: string;
  readonly uuid?: WireId;
  readonly agent_id?: WireId;
}

export type WireEvent =
  | {
      readonly type: 'SUBSCRIBED';
      readonly subscribed: {
        readonly framework_id: WireId;
        readonly heartbeat_interval_seconds: number;
        readonly master_info: WireMasterInfo;
      };
    }
  | { readonly type: 'OFFERS'; readonly offers: { readonly offers: readonly WireOffer[] } }
  | {
      readonly type: 'INVERSE_OFFERS';
      readonly inverse_offers: { readonly inverse_offers: readonly WireInverseOffer[] };
    }
  | { readonly type: 'RESCIND'; readonly rescind: { readonly offer_id: WireId } }
  | { readonly type: 'RESCIND_INVERSE_OFFER'; readonly rescind_inverse_offer: { readonly inverse_offer_id: WireId } }
  | { readonly type: 'UPDATE'; readonly update: { readonly status: WireTaskStatus } }
  | {
      readonly type: 'UPDATE_OPERATION_STATUS';
      readonly update_operation_status: { readonly status: WireOperationStatus };
    }
  | {
      readonly type: 'MESSAGE';
      readonly message: { readonly agent_id: WireId; readonly executor_id: WireId; readonly data: string };
    }
  | { readonly type: 'FAILURE'; readonly failure: { readonly agent_id: WireId } }
  | { readonly type: 'ERROR'; readonly error: { readonly message: string } };
