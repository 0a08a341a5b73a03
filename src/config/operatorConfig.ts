import { KaiError } from '../base/errors.ts';
import { ACTION_NAMES } from './defaults.ts';
import { fillSearchBudgets, type SearchBudgets } from './searchBudgets.ts';

/** The part of a SchedulingShard's spec that goes into the scheduler's configuration file (spec 01 section 1.6). */
export interface ShardSpec {
  readonly placementStrategy?: { readonly gpu?: string; readonly cpu?: string };
  readonly queueDepthPerAction?: Readonly<Record<string, number>>;
  readonly minRuntime?: { readonly preemptMinRuntime?: string; readonly reclaimMinRuntime?: string };
  readonly kValue?: number;
  readonly usageDBConfig?: Readonly<Record<string, unknown>>;
  readonly scenarioSearchBudgets?: Readonly<Record<string, unknown>>;
  readonly plugins?: Readonly<Record<string, PluginOverride>>;
  readonly actions?: Readonly<Record<string, Override>>;
}

interface Override {
  readonly enabled?: boolean;
  readonly priority?: number;
}

interface PluginOverride extends Override {
  readonly arguments?: Readonly<Record<string, string>>;
}

interface Entry {
  readonly name: string;
  readonly enabled: boolean;
  readonly priority: number;
  readonly arguments: Readonly<Record<string, string>>;
}

/** The rendered file; `loadConfig` reads it back. */
export interface OperatorConfig {
  readonly actions: string;
  readonly queueDepthPerAction?: Readonly<Record<string, number>>;
  readonly usageDBConfig?: Readonly<Record<string, unknown>>;
  readonly scenarioSearchBudgets: SearchBudgets;
  readonly tiers: readonly [
    { readonly plugins: readonly { readonly name: string; readonly arguments?: Readonly<Record<string, string>> }[] },
  ];
}

const PLUGIN_PRIORITIES: Readonly<Record<string, number>> = Object.freeze({
  predicates: 1900,
  proportion: 1800,
  priority: 1700,
  nodeavailability: 1600,
  resourcetype: 1500,
  podaffinity: 1400,
  elastic: 1300,
  kubeflow: 1200,
  ray: 1100,
  subgrouporder: 1000,
  taskorder: 900,
  nominatednode: 800,
  dynamicresources: 700,
  minruntime: 600,
  topology: 500,
  snapshot: 400,
  'sg-nodelocalgreedy': 360,
  'sg-multinodegang': 350,
  gpupack: 300,
  gpuspread: 300,
  nodeplacement: 200,
  gpusharingorder: 100,
});
const HIGHEST_ACTION_PRIORITY = 500;

/**
 * The configuration that the operator writes for a shard (spec 01 section 3.4.2). Throws KaiError BAD_SHARD for an unknown
 * placement strategy, bad search budgets, or a queue depth for an action that is not enabled.
 */
export function renderOperatorConfig(shard: ShardSpec): OperatorConfig {
  const gpu = strategy(shard.placementStrategy?.gpu, 'gpu');
  const cpu = strategy(shard.placementStrategy?.cpu, 'cpu');
  const plugins = enabledInOrder(overridden(defaultPlugins(shard, gpu, cpu), shard.plugins));
  const actions = enabledInOrder(overridden(defaultActions(gpu, cpu), shard.actions)).map(({ name }) => name);
  const depths = shard.queueDepthPerAction ?? {};
  for (const key of Object.keys(depths)) {
    if (actions.includes(key)) continue;
    throw badShard(`the scheduler's actions are ${actions.join(', ')}. ${key} isn't one of them, making the queueDepthPerAction invalid`);
  }
  const scenarioSearchBudgets = fillSearchBudgets(shard.scenarioSearchBudgets, (message) => {
    throw badShard(message);
  });
  return {
    actions: actions.join(', '),
    ...(Object.keys(depths).length === 0 ? {} : { queueDepthPerAction: depths }),
    ...(shard.usageDBConfig === undefined ? {} : { usageDBConfig: shard.usageDBConfig }),
    scenarioSearchBudgets,
    tiers: [
      {
        plugins: plugins.map(({ name, arguments: values }) => (Object.keys(values).length === 0 ? { name } : { name, arguments: values })),
      },
    ],
  };
}

type Strategy = 'binpack' | 'spread';

/** Any other word is refused (deviation allowed), where upstream would enable half of each. */
function strategy(word: string | undefined, what: string): Strategy {
  if (word === undefined || word === '') return 'binpack';
  if (word === 'binpack' || word === 'spread') return word;
  throw badShard(`placementStrategy.${what} must be binpack or spread, found ${JSON.stringify(word)}`);
}

function defaultPlugins(shard: ShardSpec, gpu: Strategy, cpu: Strategy): Entry[] {
  const { kValue, minRuntime } = shard;
  const given: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
    proportion: { kValue: kValue === undefined ? undefined : plainDecimal(kValue) },
    minruntime: { defaultPreemptMinRuntime: minRuntime?.preemptMinRuntime, defaultReclaimMinRuntime: minRuntime?.reclaimMinRuntime },
    nodeplacement: { cpu, gpu },
  };
  const disabled = new Set(gpu === 'binpack' ? ['gpuspread'] : ['gpupack', 'gpusharingorder']);
  return Object.entries(PLUGIN_PRIORITIES).map(([name, priority]) => ({
    name,
    enabled: !disabled.has(name),
    priority,
    arguments: withoutUndefined(given[name] ?? {}),
  }));
}

function defaultActions(gpu: Strategy, cpu: Strategy): Entry[] {
  return ACTION_NAMES.map((name, i) => ({
    name,
    enabled: name !== 'consolidation' || (gpu !== 'spread' && cpu !== 'spread'),
    priority: HIGHEST_ACTION_PRIORITY - 100 * i,
    arguments: {},
  }));
}

function overridden(defaults: readonly Entry[], overrides: Readonly<Record<string, PluginOverride>> | undefined): readonly Entry[] {
  const byName = new Map(defaults.map((entry) => [entry.name, entry]));
  for (const [name, override] of Object.entries(overrides ?? {})) {
    const base = byName.get(name) ?? { name, enabled: true, priority: 0, arguments: {} };
    byName.set(name, {
      name,
      enabled: override.enabled ?? base.enabled,
      priority: override.priority ?? base.priority,
      arguments: override.arguments ?? base.arguments,
    });
  }
  return [...byName.values()];
}

/** Priority, highest first; then name. */
function enabledInOrder(entries: readonly Entry[]): readonly Entry[] {
  return entries.filter(({ enabled }) => enabled).sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
}

/** The shortest exact decimal without an exponent. */
function plainDecimal(value: number): string {
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (match === null) return text;
  const [, sign = '', first = '', rest = '', exponentText = ''] = match;
  const exponent = Number(exponentText);
  const digits = first + rest;
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
  return sign + digits.padEnd(exponent + 1, '0');
}

function withoutUndefined(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function badShard(message: string): KaiError {
  return new KaiError('BAD_SHARD', message);
}
