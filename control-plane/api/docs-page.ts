/**
 * The description of the API as one page for people: plain HTML made from the OpenAPI document, complete in itself. Nothing is
 * fetched and nothing runs, so it reads the same on a machine without a way out.
 */
import { html, raw } from 'hono/html';
import { REVISION_HEADER } from './input/headers.ts';
import type { OpenApiDocument } from './openapi.ts';

type Html = ReturnType<typeof html>;

/** As much of a JSON schema as is shown. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

interface Content {
  readonly schema?: Schema;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly operationId?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, Content>> }>
  >;
}

interface Located extends Operation {
  readonly method: string;
  readonly path: string;
}

export function docsPage(document: OpenApiDocument): string {
  const operations = operationsOf(document);
  const tags = (document.tags ?? []).filter((tag) => operations.some((one) => one.tags?.includes(tag.name)));
  const schemas = Object.entries((document.components?.schemas ?? {}) as Record<string, Schema>).sort(byName);
  const { title, version, description = '' } = document.info;
  return String(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} API</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<nav aria-label="Contents">
<p class="brand"><a href="#top">${title} API</a> <small>${version}</small></p>
${tags.map((tag) => html`<p class="group"><a href="#tag-${tag.name}">${tag.name}</a></p><ul>${operations.filter((one) => one.tags?.includes(tag.name)).map(contentsLine)}</ul>`)}
<p class="group"><a href="#schemas">Schemas</a></p>
<ul>${schemas.map(([name]) => html`<li><a href="#schema-${name}">${name}</a></li>`)}</ul>
</nav>
<main id="top">
<h1>${title} API</h1>
${prose(description)}
<p>The same as data: <a href="/openapi.json">openapi.json</a>.</p>
${tags.map((tag) => html`<section><h2 id="tag-${tag.name}">${tag.name}</h2>${prose(tag.description ?? '')}${operations.filter((one) => one.tags?.includes(tag.name)).map(operationPart)}</section>`)}
<section><h2 id="schemas">Schemas</h2>${schemas.map(([name, schema]) => schemaPart(name, schema))}</section>
</main>
</body>
</html>
`);
}

function operationsOf(document: OpenApiDocument): Located[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).map(([method, operation]) => ({ ...operation, method, path })),
  );
}

function contentsLine({ operationId = '', summary = '' }: Located): Html {
  return html`<li><a href="#${operationId}">${summary}</a></li>`;
}

function operationPart(operation: Located): Html {
  const { method, path, summary = '', description = '', operationId = '', requestBody } = operation;
  // The introduction explains it once for all of them.
  const parameters = (operation.parameters ?? []).filter((one) => one.name !== REVISION_HEADER);
  return html`<article id="${operationId}">
<h3>${summary}</h3>
<p class="route"><span class="method ${method}">${method.toUpperCase()}</span> <code>${path}</code></p>
${prose(description)}
${parameters.length === 0 ? '' : html`<h4>Parameters</h4><div class="scroll"><table><tbody>${parameters.map((one) => fieldRow(one.name, one.schema ?? {}, { note: one.in, required: one.required === true, description: one.description ?? '' }))}</tbody></table></div>`}
${requestBody === undefined ? '' : html`<h4>Body${requestBody.required === false ? ' (may be left out)' : ''}</h4>${contentList(requestBody.content)}`}
<h4>Answers</h4>
<dl>${Object.entries(operation.responses).map(([status, answer]) => html`<dt>${status === 'default' ? 'else' : status}</dt><dd>${answer.description} ${contentList(answer.content ?? {})}</dd>`)}</dl>
</article>`;
}

function contentList(content: Readonly<Record<string, Content>>): Html[] {
  return Object.entries(content).map(
    ([type, { schema }]) => html`<p><code>${type}</code>${schema === undefined ? '' : html`: ${typeOf(schema)}`}</p>`,
  );
}

function schemaPart(name: string, schema: Schema): Html {
  const fields = Object.entries(schema.properties ?? {});
  const required = new Set(schema.required ?? []);
  const rows = fields.map(([field, member]) =>
    fieldRow(field, member, { note: '', required: required.has(field), description: member.description ?? '' }),
  );
  return html`<article id="schema-${name}">
<h3>${name}</h3>
${prose(schema.description ?? '')}
${rows.length === 0 ? html`<p>${typeOf(schema)}</p>` : html`<div class="scroll"><table><tbody>${rows}</tbody></table></div>`}
</article>`;
}

function fieldRow(
  name: string,
  schema: Schema,
  { note, required, description }: { note: string; required: boolean; description: string },
): Html {
  return html`<tr><th scope="row"><code>${name}</code>${required ? html` <span class="required" title="required">required</span>` : ''}${note === '' ? '' : html`<br><small>${note}</small>`}</th><td>${typeOf(schema)}${limitsOf(schema)}${description === '' ? '' : html`<br>${inline(description)}`}</td></tr>`;
}

/** The type as a person would say it, with links to what has a name. */
function typeOf(schema: Schema): Html {
  const { $ref, anyOf, oneOf, allOf, items, additionalProperties } = schema;
  if ($ref !== undefined) {
    const name = $ref.split('/').at(-1) ?? '';
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  const union = anyOf ?? oneOf;
  if (union !== undefined) return html`${union.map((one, index) => html`${index === 0 ? '' : ' or '}${typeOf(one)}`)}`;
  if (allOf?.[0] !== undefined) return typeOf(allOf[0]);
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (schema.enum !== undefined) {
    return html`${schema.enum.map((one, index) => html`${index === 0 ? '' : ', '}<code>${JSON.stringify(one)}</code>`)}`;
  }
  if (items !== undefined) return html`list of ${typeOf(items)}${isNullable(schema) ? ' or null' : ''}`;
  if (typeof additionalProperties === 'object') return html`map of names to ${typeOf(additionalProperties)}`;
  if (schema.properties !== undefined) return inlineObject(schema);
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? ['anything']);
  return html`${types.join(' or ')}${schema.format === undefined ? '' : html` <small>(${schema.format})</small>`}`;
}

function inlineObject({ properties = {} }: Schema): Html {
  const members = Object.entries(properties);
  return html`{ ${members.map(([name, member], index) => html`${index === 0 ? '' : ', '}<code>${name}</code>: ${typeOf(member)}`)} }`;
}

function isNullable({ type }: Schema): boolean {
  return Array.isArray(type) && type.includes('null');
}

function limitsOf(schema: Schema): Html {
  const said = [
    between(schema.minimum, schema.maximum, ''),
    between(schema.minLength, schema.maxLength, ' characters'),
    between(schema.minItems, schema.maxItems, ' items'),
  ].filter((text) => text !== '');
  const limits = said.length === 0 ? '' : `, ${said.join(', ')}`;
  if (schema.default === undefined) return html`${limits}`;
  return html`${limits}; <code>${JSON.stringify(schema.default)}</code> if left out`;
}

function between(low: number | undefined, high: number | undefined, unit: string): string {
  if (low === undefined && high === undefined) return '';
  if (low === undefined) return `at most ${high}${unit}`;
  return high === undefined ? `at least ${low}${unit}` : `${low} to ${high}${unit}`;
}

/** Paragraphs parted by empty lines; an indented one is an example. */
function prose(text: string): Html[] {
  return text
    .split(/\n\n+/)
    .filter((paragraph) => paragraph !== '')
    .map((paragraph) =>
      paragraph.startsWith('    ')
        ? html`<pre>${paragraph.replace(/^ {4}/gm, '')}</pre>`
        : html`<p>${inline(paragraph)}</p>`,
    );
}

/** Text with `code` in it. */
function inline(text: string): Html {
  return html`${text.split('`').map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

const STYLE = `
:root { color-scheme: light dark; --line: #d4d9de; --soft: #f3f5f7; --text: #1b2126; --dim: #5a6672; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --line: #343c44; --soft: #1d2328; --text: #e3e8ec; --dim: #98a4af; --link: #74b3f4; }
  body { background: #14181c; }
}
* { box-sizing: border-box; }
body { margin: 0; color: var(--text); font: 16px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.25rem; border-right: 1px solid var(--line); font-size: .875rem; }
nav ul { list-style: none; margin: 0 0 .75rem; padding: 0; }
nav li { padding: .15rem 0; }
.brand { font-size: 1.05rem; font-weight: 700; margin: 0 0 1rem; }
.group { font-weight: 700; margin: .75rem 0 .25rem; }
main { padding: 1.5rem 2.5rem 4rem; max-width: 62rem; }
h1 { margin: 0 0 .5rem; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 3rem 0 .5rem; padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
h3 { margin: 0 0 .35rem; font-size: 1.1rem; }
h4 { margin: 1rem 0 .25rem; font-size: .85rem; color: var(--dim); text-transform: uppercase; letter-spacing: .04em; }
article { margin: 1.5rem 0; padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: 8px; }
article p { margin: .35rem 0; }
code { font: .875em ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: .1em .3em; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4rem; padding: .1rem .5rem; border-radius: 4px; color: #fff; background: #4a5763; font: 700 .8rem/1.6 ui-monospace, monospace; text-align: center; }
.get { background: #1d6fb8; } .post { background: #23794a; } .put { background: #8a5a00; } .delete { background: #b3322b; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th, td { padding: .45rem .5rem .45rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
pre { overflow-x: auto; margin: 1rem 0; padding: .75rem 1rem; background: var(--soft); border-radius: 8px; font: .85rem/1.6 ui-monospace, monospace; }
th { width: 15rem; font-weight: 400; }
small { color: var(--dim); }
.required { color: var(--dim); font-size: .75rem; }
dl { display: grid; grid-template-columns: 4rem minmax(0, 1fr); gap: .25rem .5rem; margin: 0; }
dt { font: 700 .9rem/1.7 ui-monospace, monospace; }
dd { margin: 0; }
@media (max-width: 52rem) {
  body { display: block; }
  nav { position: static; height: auto; max-height: 40vh; border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 1.25rem; }
  th { width: 9rem; }
}
`;
