import { describe, expect, it } from 'vitest';
import { painter } from '../../../control-plane/cli/output/paint.ts';
import { nodeShape, renderNode, renderTask } from '../../../control-plane/cli/output/shapes.ts';
import { renderTable } from '../../../control-plane/cli/output/table.ts';
import { nodeView, taskView } from '../../../control-plane/services/views.ts';
import type { GpuDevice } from '../../../shared/domain/node.ts';
import type { NodeView } from '../../../shared/protocol/views.ts';
import {
  aGroup,
  aJob,
  aLedger,
  aNode,
  anEntry,
  anOffer,
  aReservation,
  aTask,
  clusterOf,
  someResources,
  T0,
} from '../../support/builders.ts';

const options = { paint: painter(false), nowMs: T0, width: null };
const job = aJob({ spec: { groups: [aGroup({ resources: { gpus: 2 } })] } });
const running = aTask(job, { state: 'running', node: 'edge-1' });

function rendered(gpus: readonly GpuDevice[], devices: readonly string[]) {
  const node = aNode({ gpus });
  const ledger = aLedger({ total: someResources({ gpus: 2 }), entries: [anEntry(job, running, { devices })] });
  const cluster = clusterOf({ nodes: [node], ledgers: [ledger], jobs: [job], tasks: [running] });
  return {
    node: renderNode(nodeView(cluster, { node, ledger }, { mayName: () => true, seesAll: true }), [], options),
    task: renderTask(taskView(cluster, running), options),
  };
}

const card = { id: 'GPU-a', product: 'NVIDIA H100', memoryMiB: 81_920, driver: '580.1', parent: null };
const instance = { ...card, id: 'MIG-b', product: 'NVIDIA H100 MIG 1g.10gb', memoryMiB: 0, parent: 'GPU-c' };

describe('the amounts of a node', () => {
  it('say what is in offers and what is reserved, beside what tasks hold', () => {
    const ledger = aLedger({
      total: { cpus: 8, memMiB: 0, diskMiB: 0, gpus: 0, custom: {}, ports: [] },
      offers: [anOffer({ resources: { cpus: 1.5, memMiB: 0 } })],
      reservations: [aReservation({ scalars: { cpus: 2, memMiB: 0, diskMiB: 0, gpus: 0, custom: {} } })],
    });
    const view = nodeView(
      clusterOf({ ledgers: [ledger] }),
      { node: aNode({ id: ledger.node }), ledger },
      { mayName: () => true, seesAll: true },
    );
    expect(view).toMatchObject({
      used: { cpus: 0 },
      offered: { cpus: 1.5 },
      reserved: { cpus: 2 },
      free: { cpus: 4.5 },
    });
    const shown = renderNode(view, [], options);
    expect(shown).toMatch(/^RESOURCE +TOTAL +USED +OFFERED +RESERVED +FREE$/m);
    expect(shown).toMatch(/^cpus +8 +0 +1\.5 +2 +4\.5$/m);
    const listed = (offered: Partial<NodeView['offered']>) =>
      renderTable(nodeShape.columns(T0), [{ ...view, offered: { ...view.offered, ...offered } }], options);
    expect(listed({})).toMatch(/ +1\.5 CPUs +0 /);
    expect(listed({ memMiB: 512, gpus: 1 })).toMatch(/ +1\.5 CPUs, 512MiB, 1 GPU +0 /);
    expect(listed({ cpus: 0 })).toMatch(/ +0\/0 +- +0 /);
  });
});

describe('GPUs', () => {
  it('are a table of their node, with who holds them, and a line of their task', () => {
    const { node, task } = rendered([card, instance], ['GPU-a']);
    expect(node).toMatch(/^GPU +PRODUCT +MEMORY +DRIVER +TASK$/m);
    expect(node).toMatch(new RegExp(`^GPU-a +NVIDIA H100 +80GiB +580\\.1 +${running.id}$`, 'm'));
    expect(node).toMatch(/^MIG-b +NVIDIA H100 MIG 1g\.10gb +- +580\.1 +-$/m);
    expect(task).toMatch(/^GPUs +GPU-a$/m);
  });

  it('that a task holds and the node has lost are told', () => {
    const { node } = rendered([instance], ['GPU-a', 'MIG-b']);
    expect(node).toMatch(new RegExp(`^GPU-a +no longer there .* ${running.id}$`, 'm'));
    expect(node).toContain('Tasks hold 1 GPU that the node no longer has.');
  });

  it('take no room where there are none', () => {
    const { node, task } = rendered([], []);
    expect(node).not.toContain('PRODUCT');
    expect(task).not.toContain('GPU');
  });
});
