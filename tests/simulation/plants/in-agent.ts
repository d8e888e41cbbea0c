/** Bugs of the agent, planted between its code and the control plane, the engine and the disk. */
import type { Container } from '../../../node-agent/core/model.ts';
import type { ControlPlane, Journal, Runtime } from '../../../node-agent/executor/contracts.ts';
import type { AssignedTask, AssignmentResponse } from '../../../shared/protocol/agent.ts';
import type { AgentSeams } from './plant.ts';

export function withControlPlane(seams: AgentSeams, changed: Partial<ControlPlane>): AgentSeams {
  const { controlPlane } = seams;
  return {
    ...seams,
    controlPlane: {
      register: (request, signal) => controlPlane.register(request, signal),
      assignment: (epoch, query, signal) => controlPlane.assignment(epoch, query, signal),
      heartbeat: (epoch, sentAtMs, signal) => controlPlane.heartbeat(epoch, sentAtMs, signal),
      statuses: (epoch, request, signal) => controlPlane.statuses(epoch, request, signal),
      identity: (epoch, task, signal) => controlPlane.identity(epoch, task, signal),
      secrets: (epoch, task, signal) => controlPlane.secrets(epoch, task, signal),
      messages: (epoch, request, signal) => controlPlane.messages(epoch, request, signal),
      stream: (epoch, id, lines, signal) => controlPlane.stream(epoch, id, lines, signal),
      ...changed,
    },
  };
}

export function withRuntime(seams: AgentSeams, changed: Partial<Runtime>): AgentSeams {
  const { runtime } = seams;
  return {
    ...seams,
    runtime: {
      list: () => runtime.list(),
      inspect: (container) => runtime.inspect(container),
      hasImage: (image) => runtime.hasImage(image),
      pullImage: (image, signal) => runtime.pullImage(image, signal),
      run: (request, beforeStart) => runtime.run(request, beforeStart),
      signal: (container, signal) => runtime.signal(container, signal),
      remove: (container) => runtime.remove(container),
      watch: (listener) => runtime.watch(listener),
      logs: (container, request, signal) => runtime.logs(container, request, signal),
      exec: (container, command, signal) => runtime.exec(container, command, signal),
      resolvePath: (path) => runtime.resolvePath(path),
      ...changed,
    },
  };
}

/** The assignment as the agent is to take it. */
export function withAssignment(seams: AgentSeams, change: (task: AssignedTask) => AssignedTask): AgentSeams {
  const changed = (response: AssignmentResponse | null) =>
    response === null ? null : { ...response, tasks: response.tasks.map(change) };
  const { controlPlane } = seams;
  return withControlPlane(seams, {
    assignment: async (epoch, query, signal) => changed(await controlPlane.assignment(epoch, query, signal)),
  });
}

/**
 * After its own restart it takes whatever it is assigned for new, unless it runs: its journal holds nothing but who it is, and what has
 * ended isn't listed.
 */
export function startingAnew(seams: AgentSeams): AgentSeams {
  const { runtime, journal } = seams;
  const forgetful: Journal = {
    ...journal,
    load: async () => (await journal.load()).filter(({ kind }) => kind === 'stamp'),
  };
  const blind = withRuntime(seams, {
    list: async () => (await runtime.list()).filter(isRunning),
    run: async (request, beforeStart) => {
      const left = (await runtime.list()).filter(({ task }) => task === request.assigned.id);
      for (const container of left) await runtime.remove(container.id);
      return runtime.run(request, beforeStart);
    },
  });
  return { ...withAssignment(blind, (task) => ({ ...task, state: 'staging' })), journal: forgetful };
}

function isRunning({ state }: Container): boolean {
  return state === 'running';
}

/** It gives back what it was told to give up as soon as it hears of it, and asks nobody whether anything still runs. */
export function releasingAtOnce(seams: AgentSeams): AgentSeams {
  const { controlPlane } = seams;
  return withControlPlane(seams, {
    assignment: async (epoch, query, signal) => {
      const response = await controlPlane.assignment(epoch, query, signal);
      const released = (response?.tasks ?? []).filter(({ disowned }) => disowned).map(({ id }) => id);
      if (released.length > 0) await controlPlane.statuses(epoch, { statuses: [], released }, signal);
      return response;
    },
  });
}

/** It sees only the containers that its own process has started. */
export function forgettingContainers(seams: AgentSeams): AgentSeams {
  const { runtime } = seams;
  const started = new Set<string>();
  return withRuntime(seams, {
    list: async () => (await runtime.list()).filter(({ id, state }) => state !== 'running' || started.has(id)),
    inspect: async (id) => {
      const container = await runtime.inspect(id);
      return container?.state === 'running' && !started.has(id) ? null : container;
    },
    run: async (request, beforeStart) => {
      const result = await runtime.run(request, beforeStart);
      if (result.type === 'started') started.add(result.container.id);
      return result;
    },
  });
}

/** Nobody outside the agent is told what must not run while the node is cut off; the agent itself stops it, if it lives. */
export function unguarded(seams: AgentSeams): AgentSeams {
  return { ...seams, fence: { ...seams.fence, arm: () => Promise.resolve(), isArmed: () => true } };
}
