// Random clusters with a random configuration, inside the twin's scope: those of test/support, made more various.
import fc from 'fast-check';
import type { PluginConfig, SchedulerConfig } from '../../src/base/config.ts';
import type { ClusterObjects, Container, Node, Pod, PodGroup, Queue } from '../../src/base/objects.ts';
import { loadConfig } from '../../src/config/loadConfig.ts';
import { Draw, seededRandom, type Tape } from '../support/draw.ts';
import { clusterArbitrary, randomCluster } from '../support/randomCluster.ts';
import { MIG_PREFIX } from './amounts.ts';

export interface TestCluster {
  readonly objects: ClusterObjects;
  readonly config: SchedulerConfig;
}

const PLAIN = loadConfig({ actions: ['allocate'] }).config;
/** Choices of the configuration, and of each object that is varied; a shorter tape is a plainer cluster. */
export const TAPE_LENGTH = 400;

/** Built-in plugins with other strategies: GPU packing off, spreading on, affinity scored, single ones left out. */
export function drawPlugins(draw: Draw): readonly PluginConfig[] {
  const gpu = draw.pick(['binpack', 'binpack', 'spread']);
  const cpu = draw.pick(['binpack', 'binpack', 'spread']);
  const without = draw.pick(['', '', '', 'gpusharingorder', 'nodeavailability', 'elastic', 'priority', 'subgrouporder', 'nodeplacement']);
  const kValue = draw.pick(['1', '0', '2.5', 'none']);
  const plugins = PLAIN.plugins.flatMap((plugin): PluginConfig[] => {
    if (plugin.name === without) return [];
    if (plugin.name === 'proportion') return [{ name: 'proportion', arguments: { kValue } }];
    if (plugin.name === 'nodeplacement') return [{ name: 'nodeplacement', arguments: { cpu, gpu } }];
    if (plugin.name === 'gpupack' && gpu === 'spread') return [{ name: 'gpuspread', arguments: {} }];
    return plugin.name === 'gpusharingorder' && gpu === 'spread' ? [] : [plugin];
  });
  return draw.chance(0.5) ? [...plugins, { name: 'podaffinity', arguments: {} }] : plugins;
}

/** The simplest draw is the built-in configuration. */
function drawConfig(draw: Draw): SchedulerConfig {
  if (!draw.chance(0.6)) return PLAIN;
  const depth = draw.pick([undefined, undefined, undefined, undefined, undefined, -1, 1, 2, 3, draw.chance(0.3) ? 0 : 2]);
  const fullHierarchyFairness = !draw.chance(0.1);
  const restrictSchedulingNodes = draw.chance(0.1);
  return {
    ...PLAIN,
    plugins: drawPlugins(draw),
    queueDepthPerAction: depth === undefined ? {} : { allocate: depth },
    params: { ...PLAIN.params, fullHierarchyFairness, restrictSchedulingNodes },
  };
}

function withRequests(container: Container, requests: Readonly<Record<string, string>>): Container {
  return { ...container, resources: { ...container.resources, requests: { ...container.resources?.requests, ...requests } } };
}

/** Rarer things that a waiting pod may carry. Pods that hold something stay as they are, so that the books remain right. */
function variedPod(draw: Draw, pod: Pod, nodes: readonly Node[]): Pod {
  const { metadata, spec, status } = pod;
  if (status?.phase !== 'Pending' || (spec.nodeName ?? '') !== '') return pod;
  const [first, ...others] = spec.containers ?? [];
  // Not mixed: whole GPUs with MIG, a fraction with GPU memory. No user asks for both.
  const hasMig = Object.keys(first?.resources?.requests ?? {}).some((name) => name.startsWith(MIG_PREFIX));
  const label = (name: string, value: string): Pod => ({
    ...pod,
    metadata: { ...metadata, labels: { ...metadata.labels, [name]: value } },
  });
  const annotated = (more: Readonly<Record<string, string>>): Pod => ({
    ...pod,
    metadata: { ...metadata, annotations: { ...metadata.annotations, ...more } },
  });
  const container = (requests: Readonly<Record<string, string>>): Pod =>
    first === undefined ? pod : { ...pod, spec: { ...spec, containers: [withRequests(first, requests), ...others] } };
  switch (draw.pick(['', '', '', '', '', '', '', '', 'role', 'nominated', 'annotation', 'request', 'init'] as const)) {
    case 'role':
      return draw.chance(0.5)
        ? label('ray.io/node-type', 'head')
        : label('training.kubeflow.org/job-role', draw.pick(['master', 'worker']));
    case 'nominated':
      return { ...pod, status: { ...status, nominatedNodeName: draw.pick(nodes).metadata.name } };
    case 'annotation':
      if (metadata.annotations?.['gpu-memory'] !== undefined) return annotated({ 'gpu-memory': draw.pick(['0', 'much', '100']) });
      return annotated(
        draw.pick<Readonly<Record<string, string>>>([
          { 'gpu-fraction': '1.5' },
          { 'gpu-fraction': 'half' },
          { 'gpu-fraction': '0.013' },
          { 'nvidia.com/mig-1g.5gb': '1' },
        ]),
      );
    case 'request':
      return container(
        draw.pick<Readonly<Record<string, string>>>([
          { 'nvidia.com/gpu': '0' },
          { 'ephemeral-storage': '1Gi' },
          { 'example.com/nic': '0' },
          { 'example.com/vgpu': '1' },
          { cpu: '1500u' },
        ]),
      );
    case 'init':
      if (hasMig) return pod;
      return {
        ...pod,
        spec: { ...spec, initContainers: [withRequests({ name: 'first' }, { 'nvidia.com/gpu': draw.pick(['1', '2']), cpu: '1' })] },
      };
    case '':
      return pod;
  }
}

function variedGroup(draw: Draw, group: PodGroup): PodGroup {
  if (!draw.chance(0.08)) return group;
  const condition = { type: 'UnschedulableOnNodePool', nodePool: draw.pick(['default', 'other']), transitionID: '3' };
  return {
    ...group,
    spec: { ...group.spec, schedulingBackoff: draw.pick([1, -1, 2]) },
    status: draw.chance(0.5) ? { schedulingConditions: [condition] } : {},
  };
}

function variedNode(draw: Draw, node: Node): Node {
  const labels = { ...node.metadata.labels };
  if (draw.chance(0.6)) labels['node-role.kubernetes.io/gpu-worker'] = '';
  if (draw.chance(0.5)) labels['node-role.kubernetes.io/cpu-worker'] = 'true';
  return { ...node, metadata: { ...node.metadata, labels } };
}

export function varied(objects: ClusterObjects, config: SchedulerConfig, draw: Draw): ClusterObjects {
  const hasDefault = draw.chance(0.1);
  return {
    ...objects,
    nodes: config.params.restrictSchedulingNodes ? objects.nodes.map((node) => variedNode(draw, node)) : objects.nodes,
    priorityClasses: objects.priorityClasses.map((c) => (hasDefault && c.metadata.name === 'build' ? { ...c, globalDefault: true } : c)),
    podGroups: objects.podGroups.map((group) => variedGroup(draw, group)),
    pods: objects.pods.map((pod) => variedPod(draw, pod, objects.nodes)),
  };
}

/** No constraints on nodes besides amounts. */
function freeOfConstraints({ spec, ...pod }: Pod): Pod {
  const { nodeSelector: _nodeSelector, affinity: _affinity, volumes: _volumes, ...rest } = spec;
  return { ...pod, spec: rest };
}

function withoutLimits(queue: Queue): Queue {
  const { cpu, memory, gpu } = queue.spec?.resources ?? {};
  const resources = { cpu: { ...cpu, limit: -1 }, memory: { ...memory, limit: -1 }, gpu: { ...gpu, limit: -1 } };
  return { ...queue, spec: { ...queue.spec, resources } };
}

/** With less in the way of scheduling, so that more is decided: each obstacle is taken away or stays, for the whole cluster. */
export function eased(objects: ClusterObjects, draw: Draw, keepsRunning = false): ClusterObjects {
  const [hasLimits, hasClasses, hasConstraints, hasFaults, hasRunning] = [0.15, 0.3, 0.4, 0.3, 0.5].map((share) => draw.chance(share));
  const isKept = (pod: Pod): boolean => hasRunning || keepsRunning || (pod.status?.phase === 'Pending' && (pod.spec.nodeName ?? '') === '');
  const kept = new Set(objects.pods.filter(isKept).map((pod) => pod.metadata.name));
  return {
    ...objects,
    queues: objects.queues.map((queue) => (hasLimits ? queue : withoutLimits(queue))),
    podGroups: objects.podGroups.map((group) =>
      hasClasses ? group : { ...group, spec: { ...group.spec, preemptibility: 'preemptible' } },
    ),
    nodes: objects.nodes.map((node) => (hasFaults ? node : { ...node, spec: {}, status: { ...node.status, conditions: [] } })),
    pods: objects.pods.filter(isKept).map((pod) => (hasConstraints ? pod : freeOfConstraints(pod))),
    bindRequests: objects.bindRequests.filter((request) => kept.has(request.spec?.podName ?? '')),
  };
}

function testCluster(objects: ClusterObjects, tape: Tape): TestCluster {
  const draw = new Draw(tape);
  const config = drawConfig(draw);
  const base = draw.chance(0.85) ? eased(objects, draw) : objects;
  return { objects: draw.chance(0.5) ? varied(base, config, draw) : base, config };
}

/** The cluster of a seed. */
export function randomTestCluster(seed: number): TestCluster {
  return testCluster(randomCluster(seed), Array.from({ length: TAPE_LENGTH }, seededRandom(seed ^ 0x5eed)));
}

/** The same for fast-check; shrinks towards few plain objects and the built-in configuration. */
export function testClusterArbitrary(): fc.Arbitrary<TestCluster> {
  const choice = fc.nat({ max: 2 ** 16 - 1 }).map((n) => n / 2 ** 16);
  const tape = fc.array(choice, { maxLength: TAPE_LENGTH, size: 'max' });
  return fc.tuple(clusterArbitrary(), tape).map(([objects, choices]) => testCluster(objects, choices));
}
