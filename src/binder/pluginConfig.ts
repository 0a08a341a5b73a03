// Which steps a binder takes before the binding, and in which order: upstream's `--plugins` (spec 07 section 6.13).
import { KaiError } from '../base/errors.ts';

export type BinderPlugin =
  | { readonly name: 'volumebinding'; readonly bindTimeoutMs: number }
  | { readonly name: 'dynamicresources'; readonly bindTimeoutMs: number }
  | { readonly name: 'gpusharing'; readonly isCdiEnabled: boolean }
  | { readonly name: 'hamicore' };

interface PluginRow {
  readonly isEnabled: boolean;
  readonly priority: number;
  readonly args: Readonly<Record<string, string>>;
}

const TIMEOUT = 'bindTimeoutSeconds';
const CDI = 'cdiEnabled';
const DEFAULTS: Readonly<Record<string, PluginRow>> = Object.freeze({
  volumebinding: { isEnabled: true, priority: 300, args: { [TIMEOUT]: '120' } },
  dynamicresources: { isEnabled: true, priority: 200, args: { [TIMEOUT]: '120' } },
  gpusharing: { isEnabled: true, priority: 100, args: { [CDI]: 'false' } },
  hamicore: { isEnabled: false, priority: 50, args: {} },
});
const UNKNOWN: PluginRow = Object.freeze({ isEnabled: true, priority: 0, args: {} });
const BOOLEANS: Readonly<Record<string, boolean>> = Object.freeze(
  Object.fromEntries([
    ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true]),
    ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false]),
  ]),
);

/** What a flag's JSON, '' = nothing, makes of upstream's defaults, in the order of execution. Throws KaiError BAD_BINDER_PLUGINS. */
export function parseBinderPlugins(json: string): readonly BinderPlugin[] {
  const rows: Record<string, PluginRow> = { ...DEFAULTS };
  for (const [name, given] of Object.entries(json === '' ? {} : parseMap(json))) rows[name] = overlaid(name, rows[name] ?? UNKNOWN, given);
  checkHamiCore(rows);
  return Object.entries(rows)
    .filter(([, { isEnabled }]) => isEnabled)
    .sort(([a, { priority: pa }], [b, { priority: pb }]) => pb - pa || (a < b ? -1 : 1))
    .map(([name, { args }]) => build(name, args));
}

function parseMap(json: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw bad(`the binder's plugins are no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isMap(value)) throw bad('the binder\'s plugins must be a map from names to {"enabled", "priority", "arguments"}');
  return value;
}

/** `arguments` are taken as a whole. */
function overlaid(name: string, row: PluginRow, given: unknown): PluginRow {
  if (!isMap(given)) throw bad(`binder plugin ${name}: must be a map`);
  const { enabled, priority, arguments: args } = given;
  if (enabled !== undefined && enabled !== null && typeof enabled !== 'boolean')
    throw bad(`binder plugin ${name}: "enabled" must be true or false`);
  if (priority !== undefined && priority !== null && !Number.isInteger(priority))
    throw bad(`binder plugin ${name}: "priority" must be an integer`);
  const isArgs = isMap(args) && Object.values(args).every((value) => typeof value === 'string');
  if (args !== undefined && args !== null && !isArgs) throw bad(`binder plugin ${name}: "arguments" must be a map of texts`);
  return {
    isEnabled: typeof enabled === 'boolean' ? enabled : row.isEnabled,
    priority: typeof priority === 'number' ? priority : row.priority,
    args: isArgs ? (args as Readonly<Record<string, string>>) : row.args,
  };
}

function checkHamiCore({ gpusharing, hamicore }: Readonly<Record<string, PluginRow>>): void {
  if (gpusharing === undefined || hamicore?.isEnabled !== true) return;
  if (!gpusharing.isEnabled) throw bad('"hamicore" plugin requires "gpusharing" plugin to be enabled');
  if (gpusharing.priority > hamicore.priority) return;
  const got = `got ${gpusharing.priority} <= ${hamicore.priority}`;
  throw bad(`"hamicore" plugin requires "gpusharing" to run before it (expected "gpusharing".priority > "hamicore".priority, ${got})`);
}

function build(name: string, args: Readonly<Record<string, string>>): BinderPlugin {
  const argument = <T>(key: string, read: (text: string) => T | undefined): T => {
    const text = args[key];
    if (text === undefined) throw bad(`failed to build binder plugin ${name}: missing argument "${key}"`);
    const value = read(text);
    if (value === undefined) throw bad(`failed to build binder plugin ${name}: invalid argument "${key}"="${text}"`);
    return value;
  };
  switch (name) {
    case 'volumebinding':
    case 'dynamicresources':
      return { name, bindTimeoutMs: argument(TIMEOUT, (text) => (/^[+-]?\d{1,15}$/.test(text) ? Number(text) * 1000 : undefined)) };
    case 'gpusharing':
      return { name, isCdiEnabled: argument(CDI, (text) => (Object.hasOwn(BOOLEANS, text) ? BOOLEANS[text] : undefined)) };
    case 'hamicore':
      return { name };
    default:
      throw bad(`failed to get binder plugin ${name}`);
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(message: string): KaiError {
  return new KaiError('BAD_BINDER_PLUGINS', message);
}
