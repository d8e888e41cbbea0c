/** How clients of Mesos's API write a request, to the byte. Their heads are in their order and case; each has its way with JSON. */

export type ClientName = 'mesos-framework' | 'pymesos' | 'mesos-go' | 'mesos-compose' | 'mesoshttp';

export interface Addressed {
  readonly host: string;
  /** A token of Berth. */
  readonly token: string;
  /** Null: the call is a subscription. */
  readonly streamId: string | null;
}

interface Client {
  readonly json: (body: object) => string;
  /** Without the fields that tell the length of the body. */
  readonly head: (addressed: Addressed) => readonly string[];
  /** Whether it says how long the body is; if not, it comes in chunks. */
  readonly hasLength: boolean;
}

const TYPE = 'Content-Type: application/json';

/** As Python's `json.dumps`: a space after each separator, and nothing but ASCII. */
function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${pythonJson(member)}`);
    return `{${members.join(', ')}}`;
  }
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[\u0080-\uffff]/g, escaped);
}

export const CLIENTS: Readonly<Record<ClientName, Client>> = {
  /** The npm package knows of no credentials and reads no answer but 202. */
  'mesos-framework': {
    json: (body) => JSON.stringify(body),
    head: ({ host, streamId }) => [
      TYPE,
      ...(streamId === null ? [] : [`mesos-stream-id: ${streamId}`]),
      `Host: ${host}`,
      'Connection: keep-alive',
    ],
    hasLength: false,
  },
  pymesos: {
    json: pythonJson,
    head: ({ host, token, streamId }) =>
      streamId === null
        ? [`Host: ${host}`, TYPE, 'Accept: application/json', basic('painter', token), 'Connection: close']
        : [`Host: ${host}`, 'Accept-Encoding: identity', TYPE, `Mesos-Stream-Id: ${streamId}`, basic('painter', token)],
    hasLength: true,
  },
  /** It sets what it accepts, and adds it once more. */
  'mesos-go': {
    json: (body) => JSON.stringify(body).replace(/^\{/, '{ '),
    head: ({ host, token, streamId }) => [
      `Host: ${host}`,
      'User-Agent: Go-http-client/1.1',
      ...(streamId === null ? ['Connection: close'] : []),
      'Accept: application/json',
      'Accept: application/json',
      basic('painter', token),
      TYPE,
      ...(streamId === null ? [] : [`Mesos-Stream-Id: ${streamId}`]),
      'Accept-Encoding: gzip',
    ],
    hasLength: true,
  },
  /** Its JSON is indented, and says that it has a name and a password where it has neither. */
  'mesos-compose': {
    json: (body) => JSON.stringify(body, null, ' '),
    head: ({ host, streamId }) => [
      `Host: ${host}`,
      'User-Agent: Go-http-client/1.1',
      'Connection: close',
      'Authorization: Basic Og==',
      TYPE,
      ...(streamId === null ? [] : [`Mesos-Stream-Id: ${streamId}`]),
      'Accept-Encoding: gzip',
    ],
    hasLength: true,
  },
  mesoshttp: {
    json: pythonJson,
    head: ({ host, streamId }) => [
      `Host: ${host}`,
      'User-Agent: python-requests/2.31.0',
      'Accept-Encoding: gzip, deflate',
      'Accept: application/json',
      'Connection: keep-alive',
      TYPE,
      ...(streamId === null ? [] : [`Mesos-Stream-Id: ${streamId}`]),
    ],
    hasLength: true,
  },
};

function basic(user: string, token: string): string {
  return `Authorization: Basic ${btoa(`${user}:${token}`)}`;
}

/** The bytes of a call, from the first line to the end of its body. */
export function requestOf(client: Client, body: string, addressed: Addressed): string {
  const length = Buffer.byteLength(body);
  const lines = [
    'POST /api/v1/scheduler HTTP/1.1',
    ...client.head(addressed),
    client.hasLength ? `Content-Length: ${length}` : 'Transfer-Encoding: chunked',
  ];
  const sent = client.hasLength ? body : `${length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  return `${lines.join('\r\n')}\r\n\r\n${sent}`;
}
