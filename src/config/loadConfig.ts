import { load, YAMLException } from 'js-yaml';
import type { PluginConfig, SchedulerConfig, SchedulerParams } from '../base/config.ts';
import { KaiError } from '../base/errors.ts';
import { ACTION_NAMES, BUILT_IN_PLUGINS, DEPTH_ACTIONS, PLUGIN_NAMES } from './defaults.ts';
import { type Fields, integerField, isFields, listField, objectField, stringField, wrongType } from './fields.ts';
import { safeEvictionOf } from './safeEviction.ts';
import { readSchedulerParams } from './schedulerParams.ts';
import { fillSearchBudgets } from './searchBudgets.ts';

export interface ConfigSources {
  /** The configuration file: its text (YAML or JSON), or the parsed `config` of a snapshot. Null or empty = built-in. */
  readonly file?: unknown;
  /** Parsed `schedulerParams` of a snapshot; null = the flags' defaults. */
  readonly params?: unknown;
  /** Parameters given as flags; they win over `params`. */
  readonly flags?: Partial<SchedulerParams>;
  /** Action names given on the command line; they win over the file. */
  readonly actions?: readonly string[];
}

export interface LoadedConfig {
  readonly config: SchedulerConfig;
  /** What was passed over, one line each. */
  readonly warnings: readonly string[];
}

/**
 * The effective configuration (spec 01 sections 3.2–3.4), every key filled. Keys are matched in any case, unknown keys
 * are passed over, unknown plugins warned of, empty sections replaced by the built-in ones. Throws KaiError BAD_CONFIG when the
 * file cannot be decoded and UNKNOWN_ACTION for an action that does not exist.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const file = parseFile(sources.file);
  const config: SchedulerConfig = {
    actions: sources.actions === undefined ? readActions(file) : checkActions(sources.actions),
    plugins: readPlugins(file, warn),
    queueDepthPerAction: readQueueDepth(file, warn),
    scenarioSearchBudgets: Object.freeze({
      ...fillSearchBudgets(objectField(file, 'scenarioSearchBudgets', ''), (message) =>
        warn(`scenarioSearchBudgets: ${message}; not used`),
      ),
    }),
    usageDBConfig: objectField(file, 'usageDBConfig', '') ?? null,
    ...safeEvictionOf(file),
    params: Object.freeze({ ...readSchedulerParams(sources.params), ...definedOnly(sources.flags ?? {}) }),
  };
  return { config: Object.freeze(config), warnings };
}

function parseFile(file: unknown): Fields {
  if (file === undefined || file === null) return {};
  const value = typeof file === 'string' ? parseText(file) : file;
  if (value === null || value === undefined) return {};
  if (!isFields(value)) throw wrongType('the whole file', 'an object', value);
  return value;
}

function parseText(text: string): unknown {
  // Only blank lines and comments: the built-in configuration.
  if (!/^[ \t]*[^\s#]/m.test(text)) return null;
  try {
    return load(text);
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const line = error.mark === undefined ? '' : `line ${error.mark.line + 1}: `;
    throw new KaiError('BAD_CONFIG', `configuration: ${line}not valid YAML: ${error.reason}`);
  }
}

/** Absent or empty: the default list, where upstream would stop (spec 01 section 3.3 rule 2, deviation allowed). */
function readActions(file: Fields): readonly string[] {
  const text = stringField(file, 'actions', '') ?? '';
  return text.trim() === '' ? ACTION_NAMES : checkActions(text.split(','));
}

function checkActions(names: readonly string[]): readonly string[] {
  const trimmed = names.map((name) => name.trim());
  const unknown = trimmed.find((name) => !ACTION_NAMES.includes(name));
  if (unknown === undefined) return Object.freeze(trimmed);
  throw new KaiError('UNKNOWN_ACTION', `there is no action "${unknown}"; the actions are ${ACTION_NAMES.join(', ')}`);
}

/** All tiers one after the other; their limits mean nothing (spec 01 section 3.2). */
function readPlugins(file: Fields, warn: (message: string) => void): readonly PluginConfig[] {
  const tiers = listField(file, 'tiers', '') ?? [];
  const plugins: PluginConfig[] = [];
  for (const [i, tier] of tiers.entries()) {
    const path = `tiers[${i}]`;
    if (!isFields(tier)) throw wrongType(path, 'an object', tier);
    for (const [j, entry] of (listField(tier, 'plugins', path) ?? []).entries()) plugins.push(readPlugin(entry, `${path}.plugins[${j}]`));
  }
  if (tiers.length === 0) return BUILT_IN_PLUGINS;
  for (const { name } of plugins) if (!PLUGIN_NAMES.has(name)) warn(`there is no plugin "${name}"; it is passed over`);
  return Object.freeze(plugins.filter(({ name }) => PLUGIN_NAMES.has(name)));
}

function readPlugin(entry: unknown, path: string): PluginConfig {
  if (!isFields(entry)) throw wrongType(path, 'an object', entry);
  const values = Object.entries(objectField(entry, 'arguments', path) ?? {});
  const texts = values.map(([key, value]): [string, string] => [key, argumentText(value, `${path}.arguments.${key}`)]);
  return Object.freeze({ name: stringField(entry, 'name', path) ?? '', arguments: Object.freeze(Object.fromEntries(texts)) });
}

function argumentText(value: unknown, path: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === null) return '';
  throw wrongType(path, 'a text', value);
}

function readQueueDepth(file: Fields, warn: (message: string) => void): Readonly<Record<string, number>> {
  const depths: Record<string, number> = {};
  const given = objectField(file, 'queueDepthPerAction', '') ?? {};
  for (const key of Object.keys(given)) {
    const depth = integerField(given, key, 'queueDepthPerAction');
    if (depth === undefined) continue;
    if (DEPTH_ACTIONS.has(key)) depths[key] = depth;
    else warn(`queueDepthPerAction: "${key}" is no action whose depth can be limited; it is passed over`);
  }
  return Object.freeze(depths);
}

function definedOnly(flags: Partial<SchedulerParams>): Partial<SchedulerParams> {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)) as Partial<SchedulerParams>;
}
