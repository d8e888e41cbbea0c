/**
 * One conversation from beginning to end, byte for byte: what the npm package `mesos-framework` sends, and the records that it is told.
 * What differs from run to run has a name in their place: F the framework, O an offer, U the uuid of an update, T a time.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApi, type TestApi } from '../../support/api.ts';
import { ApiAgent } from '../../support/api-agent.ts';
import { MesosClient, type MesosEvent, SCHEDULER } from '../../support/mesos-client.ts';
import { caughtUp } from '../../support/replica.ts';

let berth: TestApi;
let agent: ApiAgent;

beforeEach(async () => {
  berth = await startApi();
  agent = await ApiAgent.register(berth);
});
afterEach(() => berth.stop());

const UNSET =
  '"decline":null,"kill":null,"shutdown":null,"acknowledge":null,"reconcile":null,"message":null,"request":null';

const SUBSCRIBE = `{"framework_id":null,"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"My-fw","id":null,"failover_timeout":604800,"checkpoint":null,"role":null,"hostname":null,"principal":null,"webui_url":null,"capabilities":null,"labels":null}},"accept":null,${UNSET}}`;

const TASK = `{"name":"web-1","task_id":{"value":"My-fw.web-1"},"agent_id":{"value":"edge-1"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.2},"ranges":null,"set":null,"role":null,"reservation":null,"disk":null,"revocable":null},{"name":"mem","type":"SCALAR","scalar":{"value":128},"ranges":null,"set":null,"role":null,"reservation":null,"disk":null,"revocable":null},{"name":"ports","type":"RANGES","scalar":null,"ranges":{"range":[{"begin":20000,"end":20000}]},"set":null,"role":null,"reservation":null,"disk":null,"revocable":null}],"executor":null,"command":{"uris":null,"environment":{"variables":[{"name":"HOST","value":"10.0.0.1"}]},"shell":true,"value":"sleep 10;","arguments":null,"user":null},"container":{"type":"DOCKER","volumes":null,"hostname":null,"docker":{"image":"busybox","network":"BRIDGE","port_mappings":null,"privileged":false,"parameters":null,"force_pull_image":true,"volume_driver":null},"mesos":null,"network_infos":[]},"health_check":null,"kill_policy":null,"data":null,"labels":{"labels":[{"key":"k","value":"v"}]},"discovery":null}`;

const ACCEPT = `{"framework_id":{"value":"F"},"type":"ACCEPT","subscribe":null,"accept":{"offer_ids":[{"value":"O"}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[${TASK}]},"reserve":null,"unreserve":null,"create":null,"destroy":null}],"filters":null},${UNSET}}`;

const OFFER =
  '{"id":{"value":"O"},"framework_id":{"value":"F"},"agent_id":{"value":"edge-1"},"hostname":"edge-1.example","url":{"scheme":"http","address":{"hostname":"edge-1.example","ip":"edge-1.example","port":5051},"path":"/slave(1)"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"role":"*"},{"name":"mem","type":"SCALAR","scalar":{"value":4096},"role":"*"},{"name":"disk","type":"SCALAR","scalar":{"value":10000},"role":"*"},{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":20000,"end":20009}]},"role":"*"}],"attributes":[{"name":"arch","type":"TEXT","text":{"value":"x64"}},{"name":"hostname","type":"TEXT","text":{"value":"edge-1.example"}},{"name":"node","type":"TEXT","text":{"value":"edge-1"}},{"name":"os","type":"TEXT","text":{"value":"linux"}}]}';

function status(state: string, source: string, message: string, change = ''): string {
  return `{"type":"UPDATE","update":{"status":{"task_id":{"value":"My-fw.web-1"},"state":"${state}","source":"${source}",${change}"message":"${message}","agent_id":{"value":"edge-1"},"executor_id":{"value":"My-fw.web-1"},"timestamp":T`;
}

const LABELS = '"labels":{"labels":[{"key":"k","value":"v"}]}';

/** The record without its length, which the client has checked, and with names in place of what differs. */
function named(client: MesosClient): string {
  const [, json = ''] = (client.records.at(-1) ?? '').split('\n');
  return json
    .replaceAll(client.id === '' ? /"framework_id":\{"value":"[a-z0-9]+"\}/g : `"${client.id}"`, (text) =>
      text.startsWith('"framework_id"') ? '"framework_id":{"value":"F"}' : '"F"',
    )
    .replaceAll(/"value":"\d+-\d+-\d+"/g, '"value":"O"')
    .replaceAll(/"uuid":"[A-Za-z0-9+/]{22}=="/g, '"uuid":"U"')
    .replaceAll(/"timestamp":\d+(?:\.\d{1,3})?(?=[,}])/g, '"timestamp":T');
}

it('goes as it went with Mesos', async () => {
  const response = await berth.send('POST', SCHEDULER, {
    body: SUBSCRIBE,
    headers: { 'content-type': 'application/json' },
  });
  const client = MesosClient.of(berth, response);
  const event = (await client.next()) as Extract<MesosEvent, { type: 'SUBSCRIBED' }>;
  expect(named(client)).toBe(
    '{"type":"SUBSCRIBED","subscribed":{"framework_id":{"value":"F"},"heartbeat_interval_seconds":5,"master_info":{"id":"replica-1","ip":0,"port":80,"pid":"master@replica-1.test:80","hostname":"replica-1.test","version":"1.11.0","address":{"hostname":"replica-1.test","ip":"replica-1.test","port":80}}}}',
  );
  client.id = event.subscribed.framework_id.value;
  await client.next();
  expect(client.records.at(-1)).toBe('20\n{"type":"HEARTBEAT"}');
  await caughtUp(berth.replica.ctx);

  await berth.replica.settle();
  const { offers } = await client.until('OFFERS');
  expect(named(client)).toBe(`{"type":"OFFERS","offers":{"offers":[${OFFER}]}}`);
  const say = async (body: string) => {
    const sent = body.replaceAll('"F"', `"${client.id}"`).replaceAll('"O"', `"${offers.offers[0]?.id.value}"`);
    const headers = { 'content-type': 'application/json', 'mesos-stream-id': client.streamId };
    const answer = await berth.send('POST', SCHEDULER, { body: sent, headers });
    expect([answer.status, await answer.text()]).toEqual([202, '']);
    await caughtUp(berth.replica.ctx);
  };
  await say(ACCEPT);
  await say(
    `{"framework_id":{"value":"F"},"type":"DECLINE","subscribe":null,"accept":null,"decline":{"offer_ids":[{"value":"O"}],"filters":null}}`,
  );

  const [task] = berth.replica.ctx.mirror.snapshot.tasks.keys();
  await agent.report(task ?? '', 'running', { message: 'its container runs' });
  const running = await client.until('UPDATE');
  expect(named(client)).toBe(
    `${status('TASK_RUNNING', 'SOURCE_EXECUTOR', 'its container runs')},"uuid":"U",${LABELS}}}}`,
  );
  const acknowledge = ({ agent_id, task_id, uuid }: typeof running.update.status) =>
    say(
      JSON.stringify({ framework_id: { value: 'F' }, type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id, uuid } }),
    );
  await acknowledge(running.update.status);

  await say('{"framework_id":{"value":"F"},"type":"RECONCILE","reconcile":{"tasks":[]}}');
  await client.until('UPDATE');
  const reason = '"reason":"REASON_RECONCILIATION",';
  expect(named(client)).toBe(`${status('TASK_RUNNING', 'SOURCE_MASTER', 'its container runs', reason)},${LABELS}}}}`);

  await say('{"framework_id":{"value":"F"},"type":"KILL","kill":{"task_id":{"value":"My-fw.web-1"},"agent_id":{}}}');
  await agent.report(task ?? '', 'killed', { reason: 'stop-requested', message: 'it was killed' });
  const killed = await client.until('UPDATE');
  expect(named(client)).toBe(`${status('TASK_KILLED', 'SOURCE_EXECUTOR', 'it was killed')},"uuid":"U",${LABELS}}}}`);
  await acknowledge(killed.update.status);

  await say('{"framework_id":{"value":"F"},"type":"REVIVE"}');
  await berth.replica.settle();
  await client.until('OFFERS');
  await berth.send('PUT', '/v1/nodes/edge-1/maintenance', { json: { startsAt: '2126-01-01T00:00:00Z' } });
  await client.until('RESCIND');
  expect(named(client)).toBe('{"type":"RESCIND","rescind":{"offer_id":{"value":"O"}}}');
  await say('{"framework_id":{"value":"F"},"type":"TEARDOWN"}');
  let last: MesosEvent | null = await client.next();
  while (last?.type === 'HEARTBEAT') last = await client.next();
  expect(last).toBeNull();
});
