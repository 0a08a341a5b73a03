// What rules a pod out before any node is looked at (spec 03 section 7.2).
import { formatHuman } from '../../src/base/formatNumber.ts';
import type { Container, Pod } from '../../src/base/objects.ts';
import { amountOf, MIG_PREFIX, namesInOrder } from './amounts.ts';
import { gpuQuota } from './request.ts';
import type { Task, World } from './types.ts';

const STORAGE: readonly string[] = ['ephemeral-storage', 'storage'];

/** How a resource is named in the text, with the unit that follows the maximum. */
function label(name: string): { readonly text: string; readonly unit: string; readonly divisor: number } {
  if (name === 'gpu') return { text: 'GPU', unit: '', divisor: 1 };
  if (name === 'cpu') return { text: 'CPU', unit: ' cores', divisor: 1000 };
  if (name === 'memory' || STORAGE.includes(name)) return { text: name, unit: ' GB', divisor: 1e9 };
  return { text: name, unit: '', divisor: 1 };
}

function requirementText(task: Task): string {
  const { amounts } = task.request;
  const names = namesInOrder(amounts).filter((name) => !['cpu', 'memory', 'gpu'].includes(name) && amountOf(amounts, name) !== 0);
  const scalars = names
    .filter((name) => !name.startsWith(MIG_PREFIX))
    .map((name) => `, ${name}: ${formatHuman(amountOf(amounts, name), label(name).divisor)}${STORAGE.includes(name) ? ' (GB)' : ''}`);
  const migs = names.filter((name) => name.startsWith(MIG_PREFIX)).map((name) => `, mig ${name}: ${amountOf(amounts, name)}`);
  const cpu = formatHuman(amountOf(amounts, 'cpu'), 1000);
  const memory = formatHuman(amountOf(amounts, 'memory'), 1e9);
  const plain = `GPU: ${formatHuman(gpuQuota(task.request), 1)}, CPU: ${cpu} (cores), memory: ${memory} (GB)`;
  return `The pod ${task.key} requires ${plain}${scalars.join('')}${migs.join('')}. `;
}

/** No single node is large enough, whatever runs on it. */
function nodePoolProblem(world: World, task: Task): string | null {
  const { amounts } = task.request;
  const order = ['gpu', 'cpu', 'memory', ...namesInOrder(amounts).filter((name) => !['gpu', 'cpu', 'memory'].includes(name))];
  const most = (name: string): number => Math.max(0, ...[...world.nodes.values()].map((facts) => amountOf(facts.allocatable, name)));
  const name = order.find((n) => amountOf(amounts, n) > most(n));
  if (name === undefined) return null;
  const { text, unit, divisor } = label(name);
  const maximum = most(name);
  if (maximum === 0) return `${requirementText(task)}No node in the ${world.poolName} node-pool has ${text} resources`;
  const available = `Max ${text} resources available in a single node in the ${world.poolName} node-pool`;
  return `${requirementText(task)}${available} is topped at ${formatHuman(maximum, divisor)}${unit}`;
}

/** Names of the config maps that the pod cannot start without. */
function requiredConfigMaps(pod: Pod): string[] {
  const containers: readonly Container[] = [
    ...(pod.spec.initContainers ?? []),
    ...(pod.spec.containers ?? []),
    ...(pod.spec.ephemeralContainers ?? []),
  ];
  const mounted = new Set(containers.flatMap((c) => (c.volumeMounts ?? []).map((m) => m.name)));
  const volumes = (pod.spec.volumes ?? []).filter((volume) => mounted.has(volume.name));
  const references = [
    ...volumes.flatMap((volume) => [volume.configMap, ...(volume.projected?.sources ?? []).map((source) => source.configMap)]),
    ...containers.flatMap((c) => [
      ...(c.env ?? []).map((e) => e.valueFrom?.configMapKeyRef),
      ...(c.envFrom ?? []).map((e) => e.configMapRef),
    ]),
  ];
  const prefix = pod.metadata.annotations?.['runai/shared-gpu-configmap'];
  const names = references.flatMap((ref) => (ref?.name === undefined || ref.optional === true ? [] : [ref.name]));
  return [...new Set(names)].filter((name) => prefix === undefined || !name.startsWith(prefix)).sort();
}

function configMapProblem(world: World, task: Task): string | null {
  const missing = requiredConfigMaps(task.pod).filter((name) => !world.configMaps.has(`${task.pod.metadata.namespace ?? ''}/${name}`));
  return missing.length === 0 ? null : `Missing required configmaps: [${missing.join(' ')}]`;
}

/** The text of all failed checks, or null. */
export function preCheckProblem(world: World, task: Task): string | null {
  const checks = [
    ['MaxNodePoolResources', nodePoolProblem(world, task)],
    ['ConfigMap', configMapProblem(world, task)],
  ] as const;
  const lines = checks.flatMap(([name, problem]) => (problem === null ? [] : [`${name}: ${problem}.\n`]));
  return lines.length === 0 ? null : `Scheduling conditions were not met for pod ${task.key}:\n${lines.join('')}`;
}
