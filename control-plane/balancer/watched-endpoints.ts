/** The endpoints as the control plane tells them: its list, and then what changes, put together. */
import { type EndpointCalls, type EndpointFilter, withChange } from '../../shared/client/endpoints.ts';
import type { EndpointList } from '../../shared/protocol/endpoints.ts';
import type { EndpointSource } from './endpoint-source.ts';

export function watchedEndpoints(calls: Pick<EndpointCalls, 'watch'>, filter: EndpointFilter): EndpointSource {
  return {
    async *watch(signal) {
      let list: EndpointList = { revision: 0, items: [] };
      for await (const update of calls.watch(filter, { signal })) {
        list = update.type === 'list' ? update.list : withChange(list, update.change);
        yield list.items;
      }
    },
  };
}
