/**
 * All that can be called: every operation of the OpenAPI document, the routes without a token beside it, and every path of the Mesos door,
 * each with the schemas of what it takes. Read off the running app, so that a new route is called without being named here.
 */
import type { Hono } from 'hono';
import { z } from 'zod';
import { callSchema } from '../../control-plane/facade-mesos/wire/call.ts';
import {
  machineSchema,
  operatorCallSchema,
  quotaRequestSchema,
  scheduleSchema,
  weightInfoSchema,
} from '../../control-plane/facade-mesos/wire/operator-call.ts';
import { resourceSchema } from '../../control-plane/facade-mesos/wire/resource.ts';
import type { JsonSchema } from './schema-values.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: JsonSchema;
}

/** One method of one path. */
export interface Site {
  readonly door: 'api' | 'mesos';
  readonly method: string;
  /** With parameters as OpenAPI spells them. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body: JsonSchema | null;
  /** Of the body, where there is one. */
  readonly mediaType: string;
}

export interface Surface {
  readonly sites: readonly Site[];
  readonly resolve: (reference: string) => JsonSchema;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>> };
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

const OPEN_PATHS = ['/healthz', '/readyz', '/.well-known/jwks.json', '/openapi.json', '/docs'];

export async function surfaceOf(app: Hono): Promise<Surface> {
  const document = (await (await app.request('/openapi.json')).json()) as OpenApi;
  const open = OPEN_PATHS.map((path) => site({ method: 'GET', path }));
  return {
    sites: [...sitesOfDocument(document), ...open, ...sitesOfMesos(app)],
    resolve: (reference) => {
      const schema = document.components.schemas[reference.replace('#/components/schemas/', '')];
      if (schema === undefined) throw new Error(`the document has no ${reference}`);
      return schema;
    },
  };
}

function site(given: Partial<Site> & Pick<Site, 'method' | 'path'>): Site {
  return { door: 'api', parameters: [], body: null, mediaType: 'application/json', ...given };
}

function sitesOfDocument({ paths }: OpenApi): Site[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { parameters = [], requestBody }]) => {
      const [content] = Object.entries(requestBody?.content ?? {});
      const body = content === undefined ? {} : { mediaType: content[0], body: content[1].schema };
      return site({ method: method.toUpperCase(), path, parameters, ...body });
    }),
  );
}

const FORM = 'application/x-www-form-urlencoded';

/** What the paths of the door take that don't take the calls of its v1 API. */
const MESOS_BODIES: Readonly<Record<string, { readonly schema: z.ZodType; readonly mediaType?: string }>> = {
  '/api/v1/scheduler': { schema: callSchema },
  '/api/v1': { schema: operatorCallSchema },
  '/weights': { schema: z.array(weightInfoSchema) },
  '/quota': { schema: quotaRequestSchema },
  '/maintenance/schedule': { schema: scheduleSchema },
  '/machine/down': { schema: z.array(machineSchema) },
  '/machine/up': { schema: z.array(machineSchema) },
  '/teardown': { schema: z.object({ frameworkId: z.string() }), mediaType: FORM },
  '/reserve': { schema: z.object({ slaveId: z.string(), resources: z.array(resourceSchema) }), mediaType: FORM },
  '/unreserve': { schema: z.object({ slaveId: z.string(), resources: z.array(resourceSchema) }), mediaType: FORM },
  '/create-volumes': { schema: z.object({ slaveId: z.string(), volumes: z.array(resourceSchema) }), mediaType: FORM },
  '/destroy-volumes': { schema: z.object({ slaveId: z.string(), volumes: z.array(resourceSchema) }), mediaType: FORM },
};

const QUERY: readonly Parameter[] = ['limit', 'offset', 'order', 'jsonp', 'framework_id', 'task_id', 'slave_id'].map(
  (name) => ({ name, in: 'query', schema: { type: 'string' } }),
);

/** The API's own routes stand behind the one that takes everything. */
function sitesOfMesos(app: Hono): Site[] {
  const paths = new Set(app.routes.map(({ path }) => path).filter((path) => path !== '/*' && path !== '*'));
  return [...paths].flatMap((path) => {
    const taken = MESOS_BODIES[path.replace(/^\/master/, '')];
    const spelled = path.replace(/:(\w+)/g, '{$1}').replace('*', '{rest}');
    const parameters = [...QUERY, ...pathParameters(spelled)];
    const shared = { door: 'mesos', path: spelled, parameters } as const;
    if (taken === undefined) return ['GET', 'POST', 'DELETE'].map((method) => site({ ...shared, method }));
    const body = z.toJSONSchema(taken.schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
    const { mediaType = 'application/json' } = taken;
    return ['GET', 'POST', 'PUT'].map((method) => site({ ...shared, method, body, mediaType }));
  });
}

function pathParameters(path: string): Parameter[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}
