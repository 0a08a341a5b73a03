import type { Container, Pod } from '../../src/base/objects.ts';
import type { Draw } from './draw.ts';
import { MIG_LARGE, MIG_SMALL, ZONES } from './randomNodes.ts';

/** Spec and annotations that the pods of a job have in common. */
export interface PodTemplate {
  readonly spec: Pod['spec'];
  readonly annotations: Readonly<Record<string, string>>;
}

type Requests = Record<string, string>;
interface Accelerator {
  readonly requests: Requests;
  readonly annotations: Readonly<Record<string, string>>;
}

function drawAccelerator(draw: Draw): Accelerator {
  const kind = draw.pick([
    ...Array<'whole'>(4).fill('whole'),
    ...Array<'fraction'>(4).fill('fraction'),
    'memory',
    'memory',
    'cpu',
    'mig',
  ] as const);
  const devices: Record<string, string> = {};
  if ((kind === 'fraction' || kind === 'memory') && draw.chance(0.2)) devices['gpu-fraction-num-devices'] = String(draw.int(2, 3));
  switch (kind) {
    case 'whole':
      return { requests: { 'nvidia.com/gpu': String(draw.pick([1, 1, 1, 1, 2, 2, 4, 8])) }, annotations: {} };
    case 'fraction':
      return { requests: {}, annotations: { ...devices, 'gpu-fraction': draw.pick(['0.5', '0.25', '0.3', '0.7', '0.333', '1']) } };
    case 'memory':
      return {
        requests: {},
        annotations: { ...devices, 'gpu-memory': draw.pick(['2000', '2000', '5000', '5000', '12000', '20000', '90000']) },
      };
    case 'mig':
      return { requests: { [draw.pick([MIG_SMALL, MIG_LARGE])]: String(draw.int(1, 2)) }, annotations: {} };
    case 'cpu':
      return { requests: {}, annotations: {} };
  }
}

function drawContainers(draw: Draw, requests: Requests): Pick<Pod['spec'], 'containers' | 'initContainers' | 'overhead'> {
  const main: Container = { name: 'main', resources: { requests } };
  const small = (name: string, cpu: string): Container => ({ name, resources: { requests: { cpu, memory: '256Mi' } } });
  const init: Container[] = [];
  if (draw.chance(0.08)) init.push({ ...small('sidecar', '250m'), restartPolicy: 'Always' });
  if (draw.chance(0.08)) init.push(small('prepare', draw.pick(['500m', '6'])));
  return {
    containers: draw.chance(0.1) ? [main, small('helper', '100m')] : [main],
    ...(init.length > 0 ? { initContainers: init } : {}),
    ...(draw.chance(0.05) ? { overhead: { cpu: '50m', memory: '64Mi' } } : {}),
  };
}

/** Required and preferred inter-pod terms, by the label `app`. */
function drawAffinity(draw: Draw, app: string): Pod['spec']['affinity'] {
  if (!draw.chance(0.2)) return undefined;
  const kind = draw.pick(['spread', 'beside', 'node', 'notNode', 'prefer'] as const);
  const term = (value: string, topologyKey: string) => ({ labelSelector: { matchLabels: { app: value } }, topologyKey });
  const zone = 'topology.kubernetes.io/zone';
  const nodeTerm = (operator: string) => ({ matchExpressions: [{ key: zone, operator, values: [draw.pick(ZONES), draw.pick(ZONES)] }] });
  switch (kind) {
    case 'spread':
      return {
        podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, draw.pick(['kubernetes.io/hostname', zone]))] },
      };
    case 'beside':
      return { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(draw.pick(['cache', app]), zone)] } };
    case 'prefer':
      return { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 10, podAffinityTerm: term('cache', zone) }] } };
    case 'node':
      return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [nodeTerm('In')] } } };
    case 'notNode':
      return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [nodeTerm('NotIn')] } } };
  }
}

/** What one kind of pod asks for and where it may run. `app` is the value of its label `app`. */
export function drawTemplate(draw: Draw, app: string): PodTemplate {
  const { requests: accelerator, annotations } = drawAccelerator(draw);
  const requests: Requests = { ...accelerator };
  const cpu = draw.pick(['500m', '1', '2', '250m', undefined]);
  const memory = draw.pick(['1Gi', '4Gi', '512Mi', undefined]);
  if (cpu !== undefined) requests.cpu = cpu;
  if (memory !== undefined) requests.memory = memory;
  if (draw.chance(0.08)) requests['example.com/nic'] = '1';
  let containers = drawContainers(draw, requests);
  if (draw.chance(0.07)) {
    const port = { containerPort: 8080, hostPort: draw.pick([8080, 9090]), ...(draw.chance(0.3) ? { hostIP: '10.0.0.1' } : {}) };
    const withPort = (containers.containers ?? []).map((c, i) => (i === 0 ? { ...c, ports: [port] } : c));
    containers = { ...containers, containers: withPort };
  }
  const tolerations = [{ key: 'dedicated', operator: 'Exists' }];
  const affinity = drawAffinity(draw, app);
  const nodeSelector: Record<string, string> = draw.chance(0.3) ? { disk: 'ssd' } : { 'topology.kubernetes.io/zone': draw.pick(ZONES) };
  return {
    annotations,
    spec: {
      schedulerName: 'kai-scheduler',
      ...containers,
      ...(draw.chance(0.25) ? { tolerations } : {}),
      ...(draw.chance(0.12) ? { nodeSelector } : {}),
      ...(affinity === undefined ? {} : { affinity }),
      ...(draw.chance(0.04) ? { volumes: [{ name: 'settings', configMap: { name: draw.pick(['settings', 'missing']) } }] } : {}),
    },
  };
}

/** A pod of another scheduler that runs on a node: sometimes with a GPU, a host port, or the label that others look for. */
export function drawForeignPod(draw: Draw, index: number): Pod {
  const requests: Requests = { cpu: draw.pick(['500m', '1', '3']), memory: '1Gi' };
  if (draw.chance(0.3)) requests['nvidia.com/gpu'] = '1';
  const ports = draw.chance(0.2) ? [{ containerPort: 8080, hostPort: 8080 }] : [];
  return {
    metadata: {
      name: `foreign-${index}`,
      namespace: 'team-a',
      uid: `foreign-${index}`,
      creationTimestamp: '2026-01-01T02:00:00Z',
      labels: draw.chance(0.4) ? { app: 'cache' } : {},
    },
    spec: { schedulerName: 'default-scheduler', containers: [{ name: 'main', resources: { requests }, ports }] },
    status: { phase: 'Running' },
  };
}
