/**
 * A framework in one page, as the documentation shows it: it subscribes, reads its stream, runs one task on the first offer that has
 * room for it, acknowledges what becomes of it, and ends. A suite runs it as it stands, so it needs nothing but Node.js.
 */
export const FRAMEWORK_EXAMPLE = `const { BERTH, TOKEN } = process.env;
const headers = { authorization: 'Bearer ' + TOKEN, 'content-type': 'application/json' };
const call = async (method, path, body) => {
  const reply = await fetch(BERTH + '/v1/frameworks' + path, { method, headers, body: JSON.stringify(body) });
  // Gone in the meantime: an offer that was withdrawn (409), or the framework itself, once it was ended (410).
  if (!reply.ok && ![409, 410].includes(reply.status)) throw new Error(await reply.text());
  return reply;
};
const { id, session } = await (await call('POST', '', { name: 'painter', roles: ['default'] })).json();
const stream = await call('GET', '/' + id + '/events?session=' + session);
const ends = ['finished', 'failed', 'killed', 'error', 'lost'];
let isLaunched = false;
let text = '';
for await (const part of stream.body.pipeThrough(new TextDecoderStream())) {
  const lines = (text + part).split('\\n');
  text = lines.pop();
  for (const line of lines) if (line.startsWith('data:')) await hear(JSON.parse(line.slice(5)));
}
async function hear({ type, offers, update }) {
  if (type === 'offers') for (const offer of offers) await answer(offer);
  if (type !== 'update' || update.id === null) return;
  console.log(update.task, update.state, update.message);
  await call('POST', '/' + id + '/acknowledge', { session, updates: [update.id] });
  if (ends.includes(update.state)) await call('DELETE', '/' + id + '?reason=done');
}
async function answer({ id: offer, resources }) {
  if (isLaunched || resources.cpus < 0.1 || resources.memMiB < 64) {
    await call('POST', '/' + id + '/decline', { session, offers: [offer], refuseSeconds: 60 });
    return;
  }
  const task = { task: 'frame 1', image: 'alpine:3.20', command: ['echo', 'hello'], resources: { cpus: 0.1, memMiB: 64 } };
  const operations = [{ type: 'launch', tasks: [task] }];
  isLaunched = (await call('POST', '/' + id + '/accept', { session, offers: [offer], operations })).ok;
}`;
