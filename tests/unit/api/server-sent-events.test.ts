import { describe, expect, it } from 'vitest';
import { sentEvent } from '../../../control-plane/api/http/server-sent-events.ts';
import { batchText } from '../../../control-plane/api/routes/events.ts';
import type { EventView } from '../../../shared/protocol/views.ts';

describe('an event as it is sent', () => {
  it('is one line of data, whatever it holds', () => {
    expect(sentEvent({ event: 'log', id: '7', data: { text: 'a\nb\r\u2028c' } })).toBe(
      'event: log\nid: 7\ndata: {"text":"a\\nb\\r\u2028c"}\n\n',
    );
  });

  it('carries its revision only if it is the last one of it', () => {
    const event = (revision: number): EventView => ({
      revision,
      type: 'task.running',
      role: null,
      job: null,
      task: null,
      node: null,
      framework: null,
      deployment: null,
      reason: null,
      message: '',
      at: null,
    });
    const text = batchText({ revision: 6, events: [event(5), event(5), event(6)] }, String);
    expect([...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id)).toEqual(['5', '6']);
    expect(text.indexOf('id: 5')).toBeGreaterThan(text.indexOf('\n\n'));
    expect(batchText({ revision: 7, events: [] }, String)).toBe('');
  });
});
