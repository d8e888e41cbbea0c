/** Endpoints of every shape that the protocol allows, of few services, so that they often ask for the same ports and hosts. */
import fc from 'fast-check';
import { ENDPOINT_STATES, type EndpointView } from '../../shared/protocol/endpoints.ts';
import { publishSchema } from '../../shared/protocol/service.ts';
import { endpointOf } from './endpoints.ts';

const host = fc.constantFrom('a.example', '*.example', 'x-1.y-2.example', 'localhost', '*.a.b');
const path = fc.constantFrom(
  '/',
  '/api',
  '/api/v1',
  '/%20',
  '/a"b',
  "/a'b",
  '/a\\b',
  '/#x',
  '/$HOME',
  '/a,b(c)',
  '/;x?y=%',
);

export const arbitraryPublish = fc
  .record(
    {
      mode: fc.constantFrom('http', 'tcp'),
      port: fc.constantFrom(21_001, 21_002, 21_003, 21_080),
      hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 3 }),
      path,
    },
    { requiredKeys: ['mode'] },
  )
  .filter((publish) => publishSchema.safeParse(publish).success)
  .map((publish) => publish as NonNullable<EndpointView['publish']>);

const arbitraryEndpoint = fc
  .record({
    role: fc.constantFrom('default', 'eng', 'eng/ml-2'),
    job: fc.constantFrom('a', 'b', 'c-1'),
    group: fc.constantFrom('main', 'side'),
    portName: fc.constantFrom('http', 'p-2'),
    index: fc.nat({ max: 30 }),
    version: fc.integer({ min: 1, max: 3 }),
    address: fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::7', '::1', 'node-1', 'odd name'),
    port: fc.integer({ min: 1, max: 65_535 }),
    protocol: fc.constantFrom('tcp' as const, 'tcp' as const, 'udp' as const),
    state: fc.constantFrom('ready' as const, 'ready' as const, ...ENDPOINT_STATES),
    publish: fc.option(arbitraryPublish, { freq: 8 }),
  })
  .map((given) =>
    endpointOf({
      ...given,
      task: `${given.role.replaceAll('/', '-')}-${given.job}-${given.group}-${given.index}-v${given.version}`,
    }),
  );

export const arbitraryEndpoints = fc.uniqueArray(arbitraryEndpoint, { maxLength: 60, selector: ({ id }) => id });
