/**
 * The same orders as scripts gave them before there was v1: each has a path of its own, with `/master` before it and without, and takes
 * a form or plain JSON, whatever type its body is said to be of.
 */
import type { Hono } from 'hono';
import { z } from 'zod';
import { type Caller, callOf } from '../http/caller.ts';
import { type CallNames, convert, parseBody, readText } from '../http/json-in.ts';
import { jsonAnswer } from '../http/json-out.ts';
import { type EndpointOptions, type ServedRequest, serve } from '../http/serve.ts';
import { WireRefusal } from '../http/wire-refusal.ts';
import type { FacadeParts } from '../parts.ts';
import type { OperatorOperation } from '../translate/operator-operations.ts';
import { quotaStatus, weightInfos } from '../translate/quota.ts';
import { machineSchema, quotaRequestSchema, scheduleSchema, weightInfoSchema } from '../wire/operator-call.ts';
import { resourceListSchema } from '../wire/resource.ts';
import { optionalList } from '../wire/values.ts';
import {
  maintenanceSchedule,
  maintenanceStatus,
  startMaintenance,
  stopMaintenance,
  updateSchedule,
} from './maintenance.ts';
import { operateOn } from './reservations.ts';
import { removeQuota, setForRoles, setQuota, updateWeights } from './roles.ts';
import { tearDownFramework } from './teardown.ts';

type Asked = ServedRequest & { readonly caller: Caller };
type Method = EndpointOptions['methods'][number];
type Answers = Partial<Record<Method, (asked: Asked) => Promise<Response>>>;

export function unversionedRoutes(app: Hono, parts: FacadeParts): void {
  const at = (path: string, answers: Answers) => {
    const methods = METHODS.filter((method) => answers[method] !== undefined);
    const options = { paths: [path, `/master${path}`], methods, realm: 'mesos-master-readwrite' } as const;
    serve(app, parts, options, async (asked) => {
      const { method } = asked.request;
      const answer = answers[METHODS.find((known) => known === method) ?? 'GET'];
      if (answer === undefined) throw new WireRefusal(501, `${path} is not implemented`);
      return answer(asked);
    });
  };
  const { clock } = parts.ctx;
  at('/teardown', {
    POST: async ({ request, caller }) => {
      const form = formOf(await readText(request, clock));
      await tearDownFramework(parts, callOf(caller), form('frameworkId'));
      return done(200);
    },
  });
  roleRoutes(parts, at);
  holdingRoutes(parts, at);
  maintenanceRoutes(parts, at);
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const;

type At = (path: string, answers: Answers) => void;

function roleRoutes(parts: FacadeParts, at: At): void {
  const { clock } = parts.ctx;
  at('/weights', {
    GET: async ({ url, caller }) => jsonAnswer(url, weightInfos(setForRoles(parts, caller.principal))),
    PUT: async ({ request, caller }) => {
      const { items } = asList(weightInfoSchema, await readText(request, clock), 'WeightInfo protobuf');
      await updateWeights(parts, callOf(caller), items);
      return done(200);
    },
  });
  at('/quota', {
    GET: async ({ url, caller }) => jsonAnswer(url, quotaStatus(setForRoles(parts, caller.principal))),
    POST: async ({ request, caller }) => {
      const body = parseBody(await readText(request, clock));
      await setQuota(parts, callOf(caller), convert(quotaRequestSchema, body, namesOf('QuotaRequest protobuf')));
      return done(200);
    },
  });
  at('/quota/*', {
    DELETE: async ({ url, caller }) => {
      const [, role = ''] = /\/quota\/(.*)$/.exec(decoded(url.pathname)) ?? [];
      await removeQuota(parts, callOf(caller), role);
      return done(200);
    },
  });
}

/** As it is where it can't be. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function holdingRoutes(parts: FacadeParts, at: At): void {
  const operation = (member: 'resources' | 'volumes', made: (asked: FormResources) => OperatorOperation): Answers => ({
    POST: async ({ request, caller }) => {
      const form = formOf(await readText(request, parts.ctx.clock));
      const node = form('slaveId');
      const resources = resourcesIn(form(member), member);
      const source = form.maybe('source');
      await operateOn(
        parts,
        { call: callOf(caller), userName: caller.userName },
        node,
        made({ resources, source: source === null ? [] : resourcesIn(source, 'source') }),
      );
      return done(202);
    },
  });
  at(
    '/reserve',
    operation('resources', (asked) => ({ type: 'RESERVE', ...asked })),
  );
  at(
    '/unreserve',
    operation('resources', ({ resources }) => ({ type: 'UNRESERVE', resources })),
  );
  at(
    '/create-volumes',
    operation('volumes', ({ resources }) => ({ type: 'CREATE', resources })),
  );
  at(
    '/destroy-volumes',
    operation('volumes', ({ resources }) => ({ type: 'DESTROY', resources })),
  );
}

type FormResources = Pick<Extract<OperatorOperation, { readonly type: 'RESERVE' }>, 'resources' | 'source'>;

function resourcesIn(text: string, member: string): FormResources['resources'] {
  const body = { resources: parseBody(text) };
  return convert(z.object({ resources: resourceListSchema }), body, namesOf(`Resource protobuf of '${member}'`))
    .resources;
}

function maintenanceRoutes(parts: FacadeParts, at: At): void {
  const { clock } = parts.ctx;
  at('/maintenance/schedule', {
    GET: async ({ url, caller }) => jsonAnswer(url, maintenanceSchedule(parts, caller.principal)),
    POST: async ({ request, caller }) => {
      const body = parseBody(await readText(request, clock));
      await updateSchedule(parts, callOf(caller), convert(scheduleSchema, body, namesOf('Schedule protobuf')));
      return done(200);
    },
  });
  at('/maintenance/status', {
    GET: async ({ url, caller }) => jsonAnswer(url, maintenanceStatus(parts, caller.principal)),
  });
  const machines = (act: typeof startMaintenance): Answers => ({
    POST: async ({ request, caller }) => {
      const { items } = asList(machineSchema, await readText(request, clock), 'MachineID protobuf');
      await act(parts, callOf(caller), items);
      return done(200);
    },
  });
  at('/machine/down', machines(startMaintenance));
  at('/machine/up', machines(stopMaintenance));
}

function done(status: 200 | 202): Response {
  return new Response(null, { status, headers: { 'content-length': '0' } });
}

interface Form {
  (name: string): string;
  maybe(name: string): string | null;
}

function formOf(text: string): Form {
  const values = new URLSearchParams(text);
  const demanded = (name: string): string => {
    const value = values.get(name);
    if (value !== null) return value;
    throw new WireRefusal(400, `Missing '${name}' query parameter in the request body`);
  };
  return Object.assign(demanded, { maybe: (name: string) => values.get(name) });
}

function asList<S extends z.ZodType>(item: S, text: string, converted: string) {
  return convert(z.object({ items: optionalList(item) }), { items: parseBody(text) }, namesOf(converted));
}

function namesOf(converted: string): CallNames {
  return { converted, validated: converted };
}
