/** Conversations for each event, and for the calls that answer those about maintenance and operations. */
import type { Conversation } from './conversation.ts';
import {
  accepting,
  HEARTBEAT,
  ID,
  INVERSE_OFFERS,
  OFFER,
  offered,
  offers,
  running,
  SUBSCRIBED,
  subscription,
  TASK,
  UNAVAILABILITY,
  update,
  WALL,
} from './messages.ts';

const RESCIND = '{"type":"RESCIND","rescind":{"offer_id":{"value":"<offer>"}}}';
const acknowledge = {
  type: 'ACKNOWLEDGE',
  framework_id: ID,
  acknowledge: { agent_id: { value: 'edge-1' }, task_id: WALL, uuid: '<uuid>' },
};
const large = [
  { name: 'cpus', type: 'SCALAR', scalar: { value: 64 } },
  { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
];

export const EVENTS: readonly Conversation[] = [
  {
    about: 'HEARTBEAT',
    client: 'mesos-framework',
    turns: [{ subscribes: subscription('mesos-framework') }, { hears: [SUBSCRIBED, HEARTBEAT] }],
  },
  ...(['accept_inverse_offers', 'decline_inverse_offers'] as const).map((body) => ({
    about: `INVERSE_OFFERS, ${body.toUpperCase()}, RESCIND and RESCIND_INVERSE_OFFER`,
    client: 'pymesos' as const,
    turns: [
      ...offered('pymesos'),
      { meanwhile: 'a window is set' as const },
      { hears: [RESCIND] },
      { meanwhile: 'offers are made' as const },
      { hears: [offers('offer2', `,${UNAVAILABILITY}`), INVERSE_OFFERS] },
      {
        calls: {
          ...{ type: body.toUpperCase(), framework_id: ID },
          [body]: { inverse_offer_ids: [{ value: '<notice>' }], filters: { refuse_seconds: 5 } },
        },
      },
      { meanwhile: 'the window is taken back' as const },
      {
        hears: [
          RESCIND.replace('<offer>', '<offer2>'),
          '{"type":"RESCIND_INVERSE_OFFER","rescind_inverse_offer":{"inverse_offer_id":{"value":"<notice>"}}}',
        ],
      },
    ],
  })),
  {
    about: 'UPDATE of a task that finishes',
    client: 'mesos-framework',
    turns: [
      ...running('mesos-framework'),
      { calls: acknowledge },
      { meanwhile: 'the task finishes' },
      {
        hears: [update({ state: 'TASK_FINISHED', source: 'SOURCE_EXECUTOR', message: 'finished', uuid: 'uuid2' })],
      },
    ],
  },
  {
    about: 'UPDATE of a task that fails',
    client: 'pymesos',
    turns: [
      ...running('pymesos'),
      { calls: acknowledge },
      { meanwhile: 'the task fails for want of memory' },
      {
        hears: [
          update({
            ...{ state: 'TASK_FAILED', source: 'SOURCE_AGENT', reason: 'REASON_CONTAINER_LIMITATION_MEMORY' },
            ...{ message: 'failed', uuid: 'uuid2' },
          }),
        ],
      },
    ],
  },
  {
    about: 'UPDATE of a task that is invalid',
    client: 'mesos-compose',
    turns: [
      ...offered('mesos-compose'),
      {
        calls: accepting({
          ...TASK,
          resources: [...TASK.resources, { name: 'gpus', type: 'SCALAR', scalar: { value: 0.5 } }],
        }),
      },
      {
        hears: [
          update({
            ...{ state: 'TASK_ERROR', source: 'SOURCE_MASTER', reason: 'REASON_TASK_INVALID' },
            message:
              "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
            ...{ uuid: null, isTask: false },
          }),
        ],
      },
    ],
  },
  {
    about: 'FAILURE and the UPDATE of what is out of reach',
    client: 'pymesos',
    turns: [
      ...running('pymesos'),
      { calls: acknowledge },
      { meanwhile: 'the node falls silent' },
      {
        hears: [
          update({
            ...{ state: 'TASK_LOST', source: 'SOURCE_MASTER', reason: 'REASON_AGENT_REMOVED', uuid: null },
            isUnreachable: true,
            message: 'node edge-1 has not been heard of; the task may still run',
          }),
          '{"type":"FAILURE","failure":{"agent_id":{"value":"edge-1"}}}',
        ],
      },
    ],
  },
  {
    about: 'UPDATE_OPERATION_STATUS, ACKNOWLEDGE_OPERATION_STATUS and RECONCILE_OPERATIONS',
    client: 'pymesos',
    turns: [
      ...offered('pymesos'),
      {
        calls: {
          ...{ type: 'ACCEPT', framework_id: ID },
          accept: {
            offer_ids: [OFFER],
            operations: [{ id: { value: 'op-1' }, type: 'RESERVE', reserve: { resources: large } }],
          },
        },
      },
      {
        hears: [
          '{"type":"UPDATE_OPERATION_STATUS","update_operation_status":{"status":{"operation_id":{"value":"op-1"},"state":"OPERATION_ERROR","message":"Resource cpus:64 is not dynamically reserved","agent_id":{"value":"edge-1"}}}}',
        ],
      },
      {
        calls: {
          ...{ type: 'ACKNOWLEDGE_OPERATION_STATUS', framework_id: ID },
          acknowledge_operation_status: {
            ...{ operation_id: { value: 'op-1' }, state: 'OPERATION_ERROR', message: 'x' },
            uuid: { value: 'hTaLQ0b5Q1OZuab7QclTKQ==' },
          },
        },
      },
      {
        calls: {
          ...{ type: 'RECONCILE_OPERATIONS', framework_id: ID },
          reconcile_operations: { operations: [{ operation_id: { value: 'op-1' } }] },
        },
        answer: {
          status: 'HTTP/1.1 200 OK',
          text: '{"type":"RECONCILE_OPERATIONS","reconcile_operations":{"operation_statuses":[{"operation_id":{"value":"op-1"},"state":"OPERATION_UNKNOWN","message":"none of that name is on record: it was not carried out, or was acknowledged"}]}}',
        },
      },
    ],
  },
  {
    about: 'MESSAGE from an executor',
    client: 'mesos-framework',
    turns: [
      { subscribes: subscription('mesos-framework') },
      { hears: [SUBSCRIBED] },
      { meanwhile: 'the executor says something' },
      {
        hears: [
          update({ state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR', message: 'running', task: 'runner' }),
          '{"type":"MESSAGE","message":{"agent_id":{"value":"edge-1"},"executor_id":{"value":"runner"},"data":"R3LDvMOfZQ=="}}',
        ],
      },
    ],
  },
  {
    about: 'ERROR of a framework that is removed',
    client: 'mesos-go',
    turns: [
      { subscribes: subscription('mesos-go') },
      { hears: [SUBSCRIBED] },
      { meanwhile: 'an operator removes the framework' },
      { hears: ['{"type":"ERROR","error":{"message":"Framework has been removed"}}'] },
      { ends: 'present' },
    ],
  },
  {
    about: 'ERROR of a subscription that is refused',
    client: 'pymesos',
    turns: [
      {
        subscribes: {
          type: 'SUBSCRIBE',
          subscribe: { framework_info: { user: 'root', name: 'painter', role: '/eng' } },
        },
      },
      {
        hears: [
          `{"type":"ERROR","error":{"message":"'FrameworkInfo.role' is not a valid role: Role '/eng' cannot start with a slash"}}`,
        ],
      },
      { ends: 'present' },
    ],
  },
];
