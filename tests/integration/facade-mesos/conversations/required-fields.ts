/**
 * What clients can't do without: for each kind of event the fields that one of them reads without asking whether they are there, and
 * of which type it takes them to be. `[]` stands for every item of a list, and `?` at the end of a name says that the field may be
 * absent, and that what follows it is wanted where it isn't.
 */
export interface RequiredField {
  readonly event: string;
  readonly path: string;
  readonly type: FieldType;
  /** Whose, and what becomes of it otherwise. */
  readonly client: string;
}

export type FieldType = 'text' | 'non-empty text' | 'number' | 'whole number' | 'list' | 'object' | 'base64' | 'uuid';

const AGENT_DIES = 'pymesos: KeyError ends it; mesos-compose: panics; mesos-framework: never acknowledges';

export const REQUIRED_FIELDS: readonly RequiredField[] = [
  field('SUBSCRIBED', 'subscribed.framework_id.value', 'non-empty text', 'all: nothing is known of the framework'),
  field('SUBSCRIBED', 'subscribed.heartbeat_interval_seconds', 'number', 'rxjava: how long silence may be'),
  field('SUBSCRIBED', 'subscribed.master_info.id', 'non-empty text', 'mesos-compose: jsonpb demands it'),
  field('SUBSCRIBED', 'subscribed.master_info.ip', 'whole number', 'mesos-compose: jsonpb demands it'),
  field('SUBSCRIBED', 'subscribed.master_info.port', 'whole number', 'mesos-compose: jsonpb demands it'),
  field('SUBSCRIBED', 'subscribed.master_info.address.port', 'whole number', 'mesos-compose: jsonpb demands it'),
  field('SUBSCRIBED', 'subscribed.master_info.version', 'non-empty text', 'pymesos: digits and dots'),
  field('OFFERS', 'offers.offers', 'list', 'mesos-framework: TypeError'),
  field('OFFERS', 'offers.offers[].id.value', 'non-empty text', 'all'),
  field('OFFERS', 'offers.offers[].framework_id.value', 'non-empty text', 'mesos-compose: jsonpb demands it'),
  field('OFFERS', 'offers.offers[].agent_id.value', 'non-empty text', 'all'),
  field('OFFERS', 'offers.offers[].hostname', 'non-empty text', 'mesos-compose: passes over offers without'),
  field('OFFERS', 'offers.offers[].url.scheme', 'non-empty text', 'mesos-compose: jsonpb demands it'),
  field(
    'OFFERS',
    'offers.offers[].url.address.ip',
    'non-empty text',
    'mesos-framework: TypeError, and no offer is answered',
  ),
  field('OFFERS', 'offers.offers[].url.address.port', 'whole number', 'mesos-compose: jsonpb demands it'),
  field('OFFERS', 'offers.offers[].resources', 'list', 'mesos-framework: TypeError'),
  field('OFFERS', 'offers.offers[].resources[].name', 'non-empty text', 'all'),
  field('OFFERS', 'offers.offers[].resources[].type', 'non-empty text', 'mesos-framework: passes over it'),
  field('OFFERS', 'offers.offers[].resources[].scalar?.value', 'number', 'mesos-framework: would join texts'),
  field('OFFERS', 'offers.offers[].resources[].ranges?.range', 'list', 'mesos-framework: TypeError'),
  field(
    'OFFERS',
    'offers.offers[].resources[].ranges?.range[].begin',
    'whole number',
    'mesos-go: decoding ends the stream',
  ),
  field(
    'OFFERS',
    'offers.offers[].resources[].ranges?.range[].end',
    'whole number',
    'mesos-go: decoding ends the stream',
  ),
  field('OFFERS', 'offers.offers[].attributes?[].name', 'non-empty text', 'mesos-compose: jsonpb demands it'),
  field('OFFERS', 'offers.offers[].attributes?[].type', 'non-empty text', 'mesos-compose: jsonpb demands it'),
  field('INVERSE_OFFERS', 'inverse_offers.inverse_offers[].id.value', 'non-empty text', 'all'),
  field('INVERSE_OFFERS', 'inverse_offers.inverse_offers[].framework_id.value', 'non-empty text', 'jsonpb demands it'),
  field(
    'INVERSE_OFFERS',
    'inverse_offers.inverse_offers[].unavailability.start.nanoseconds',
    'whole number',
    'jsonpb demands it',
  ),
  field('RESCIND', 'rescind.offer_id.value', 'non-empty text', 'pymesos: KeyError ends it'),
  field(
    'RESCIND_INVERSE_OFFER',
    'rescind_inverse_offer.inverse_offer_id.value',
    'non-empty text',
    'pymesos: KeyError ends it',
  ),
  field('UPDATE', 'update.status.task_id.value', 'text', 'all'),
  field('UPDATE', 'update.status.state', 'non-empty text', 'all'),
  field('UPDATE', 'update.status.agent_id.value', 'non-empty text', AGENT_DIES),
  field('UPDATE', 'update.status.uuid?', 'uuid', 'mesos-go: decoding ends the stream'),
  field('UPDATE', 'update.status.timestamp', 'number', 'mesos-go: decoding ends the stream'),
  field(
    'UPDATE',
    'update.status.container_status?.network_infos[].ip_addresses[].ip_address',
    'non-empty text',
    'mesos-dns',
  ),
  field('UPDATE_OPERATION_STATUS', 'update_operation_status.status.state', 'non-empty text', 'jsonpb demands it'),
  field('UPDATE_OPERATION_STATUS', 'update_operation_status.status.operation_id.value', 'non-empty text', 'pymesos'),
  field('MESSAGE', 'message.agent_id.value', 'non-empty text', 'pymesos: KeyError ends it'),
  field('MESSAGE', 'message.executor_id.value', 'non-empty text', 'pymesos: KeyError ends it'),
  field('MESSAGE', 'message.data', 'base64', 'mesos-framework: TypeError'),
  field('FAILURE', 'failure.agent_id.value', 'non-empty text', 'pymesos: KeyError ends it'),
  field('ERROR', 'error.message', 'non-empty text', 'pymesos: KeyError ends it'),
];

function field(event: string, path: string, type: FieldType, client: string): RequiredField {
  return { event, path, type, client };
}

/** The members of messages that some clients refuse the whole event for, since they are none of Mesos's. */
export const KNOWN_NAMES: ReadonlySet<string> = new Set(
  `type subscribed framework_id value heartbeat_interval_seconds master_info id ip port pid hostname version address offers agent_id url
  scheme path resources name scalar ranges range begin end role allocation_info reservations reservation principal labels key disk
  persistence volume container_path mode attributes text domain fault_domain region zone unavailability start duration nanoseconds
  inverse_offers rescind offer_id rescind_inverse_offer inverse_offer_id update status task_id state message source reason executor_id
  timestamp unreachable_time uuid container_status network_infos ip_addresses ip_address update_operation_status operation_id data failure error`.split(
    /\s+/,
  ),
);

/** What stands at the path, as often as it does; undefined where something on the way is missing that must not be. */
export function valuesAt(message: unknown, path: string): unknown[] {
  const steps = path.replaceAll('[]', '.[]').split('.');
  let values: unknown[] = [message];
  for (const step of steps) values = values.flatMap((value) => next(value, step));
  return values;
}

function next(value: unknown, step: string): unknown[] {
  if (step === '[]') return Array.isArray(value) ? value : [undefined];
  const name = step.replace('?', '');
  const member = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  return member === undefined && step.endsWith('?') ? [] : [member];
}

export function isOfType(value: unknown, type: FieldType): boolean {
  switch (type) {
    case 'text':
      return typeof value === 'string';
    case 'non-empty text':
      return typeof value === 'string' && value !== '';
    case 'number':
      return typeof value === 'number';
    case 'whole number':
      return typeof value === 'number' && Number.isInteger(value) && value >= 0;
    case 'list':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'base64':
      return typeof value === 'string' && Buffer.from(value, 'base64').toString('base64') === value;
    case 'uuid':
      return typeof value === 'string' && Buffer.from(value, 'base64').length === 16;
  }
}

/** Names that nobody but Berth knows, and nulls, wherever they stand. */
export function strayNames(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(strayNames);
  if (value === null) return ['null'];
  if (typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, member]) => [
    ...(KNOWN_NAMES.has(name) ? [] : [name]),
    ...strayNames(member),
  ]);
}
