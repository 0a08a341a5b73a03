// Decisions about places, broken one rule at a time.
import {
  changeDecision,
  changeGroup,
  changePod,
  changeSpec,
  drop,
  intoSubGroups,
  labelled,
  type Mutation,
  params,
  podOf,
  port,
  required,
} from './edits.ts';
import { evict, node, place, pod, queue, share, sharedPod } from './scenarios.ts';

export const PLACEMENT_MUTATIONS: readonly Mutation[] = [
  {
    rule: 'unknown-object',
    from: 'allocate',
    what: 'no such pod',
    breakIt: (s) => s.decisions.push(place('bind', 'allocate', 'ghost', 'gang', 'n1', 1)),
  },
  { rule: 'unknown-object', from: 'allocate', what: 'a pod of another UID', breakIt: (s) => changeDecision(s, 'g0', { podUid: 'before' }) },
  { rule: 'unknown-object', from: 'allocate', what: 'no such node', breakIt: (s) => changeDecision(s, 'g0', { node: 'n9' }) },
  {
    rule: 'unknown-object',
    from: 'allocate',
    what: 'a node of another pool',
    breakIt: (s) => (s.objects.nodes[0] = { ...node('n1', 4), metadata: { name: 'n1', labels: { 'kai.scheduler/node-pool': 'x' } } }),
  },
  { rule: 'unknown-object', from: 'allocate', what: 'another pod group', breakIt: (s) => changeDecision(s, 'g0', { podGroup: 'ns/half' }) },
  {
    rule: 'wrong-action',
    from: 'preempt',
    what: 'an action that is not configured',
    breakIt: (s) => (s.config = { ...s.config, actions: ['allocate'] }),
  },
  {
    rule: 'wrong-action',
    from: 'allocate',
    what: 'allocate evicts',
    breakIt: (s) => s.decisions.push(evict('allocate', 'g0', 'gang', 'n1', '')),
  },
  { rule: 'wrong-action', from: 'preempt', what: 'preempt binds', breakIt: (s) => changeDecision(s, 'x0', { kind: 'bind' }) },
  {
    rule: 'wrong-state',
    from: 'allocate',
    what: 'a running pod gets a place',
    breakIt: (s) => changePod(s, 'g0', () => pod('g0', 'gang', 1, 'n2')),
  },
  {
    rule: 'wrong-state',
    from: 'allocate',
    what: 'a gated pod gets a place',
    breakIt: (s) => changeSpec(s, 'g0', { schedulingGates: [{ name: 'wait' }] }),
  },
  {
    rule: 'wrong-state',
    from: 'preempt',
    what: 'a terminating pod is evicted',
    breakIt: (s) => changePod(s, 'l0', (p) => ({ ...p, metadata: { ...p.metadata, deletionTimestamp: '2026-01-01T12:00:10Z' } })),
  },
  {
    rule: 'wrong-state',
    from: 'preempt',
    what: 'a finished pod is evicted',
    breakIt: (s) => changePod(s, 'l0', (p) => ({ ...p, status: { phase: 'Succeeded' } })),
  },
  { rule: 'decided-twice', from: 'allocate', what: 'bound twice', breakIt: (s) => s.decisions.push(s.decisions[0]!) },
  { rule: 'decided-twice', from: 'preempt', what: 'evicted twice', breakIt: (s) => s.decisions.push(s.decisions[0]!) },
  {
    rule: 'decided-twice',
    from: 'preempt',
    what: 'evicted after it was placed',
    breakIt: (s) => s.decisions.push(evict('preempt', 'x0', 'high', 'n1', 'high')),
  },
  { rule: 'wrong-grant', from: 'allocate', what: 'fewer devices', breakIt: (s) => changeDecision(s, 'g0', { gpuCount: 0 }) },
  { rule: 'wrong-grant', from: 'allocate', what: 'another portion', breakIt: (s) => changeDecision(s, 'h0', { gpuPortion: '0.40' }) },
  { rule: 'wrong-grant', from: 'allocate', what: 'no group', breakIt: (s) => changeDecision(s, 'h0', { gpuGroups: [] }) },
  {
    rule: 'not-member',
    from: 'allocate',
    what: 'a sub-group that does not exist',
    breakIt: (s) => changePod(s, 'g0', (p) => ({ ...p, metadata: { ...p.metadata, labels: { 'kai.scheduler/subgroup-name': 'x' } } })),
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'CPU',
    breakIt: (s) => changeSpec(s, 'g0', { containers: [{ name: 'm', resources: { requests: { cpu: '15', 'nvidia.com/gpu': '1' } } }] }),
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'memory',
    breakIt: (s) =>
      changeSpec(s, 'g0', { containers: [{ name: 'm', resources: { requests: { memory: '65Gi', 'nvidia.com/gpu': '1' } } }] }),
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'GPUs, one of them shared',
    breakIt: (s) => s.objects.pods.push(pod('r', 'half', 1, 'n1')),
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'an extended resource',
    breakIt: (s) =>
      changeSpec(s, 'g0', { containers: [{ name: 'm', resources: { requests: { 'example.com/nic': '1', 'nvidia.com/gpu': '1' } } }] }),
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'MIG profiles',
    breakIt: (s) => {
      s.objects.nodes[0] = {
        ...node('n1', 4),
        status: { allocatable: { cpu: '16', pods: '10', 'nvidia.com/gpu': '4', 'nvidia.com/mig-1g.5gb': '1' } },
      };
      changeSpec(s, 'g0', { containers: [{ name: 'm', resources: { requests: { 'nvidia.com/mig-1g.5gb': '2' } } }] });
    },
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'pod slots',
    breakIt: (s) => (s.objects.nodes[0] = { ...node('n1', 4), status: { allocatable: { cpu: '16', pods: '4', 'nvidia.com/gpu': '4' } } }),
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'no slot for the reservation pod',
    breakIt: (s) => {
      s.objects.nodes[1] = { ...node('n2', 4), status: { allocatable: { cpu: '16', pods: '1', 'nvidia.com/gpu': '4' } } };
      changeDecision(s, 'h0', { node: 'n2', gpuGroups: ['shared-2'] });
    },
  },
  {
    rule: 'node-overcommit',
    from: 'allocate',
    what: 'a bind on what is only leaving',
    breakIt: (s) =>
      s.objects.pods.push({
        ...pod('old', 'half', 1, 'n1'),
        metadata: { ...pod('old', 'half', 1).metadata, deletionTimestamp: '2026-01-01T12:00:10Z' },
      }),
  },
  { rule: 'node-overcommit', from: 'preempt', what: 'a promise of more than what leaves', breakIt: (s) => drop(s, 'l0') },
  {
    rule: 'group-overcommit',
    from: 'allocate',
    what: 'a third half',
    breakIt: (s) => {
      s.objects.pods.push(sharedPod('h2', 'half'));
      s.decisions.push(share('h2', 'half', 'n1', 'shared-1'));
    },
  },
  { rule: 'group-elsewhere', from: 'allocate', what: 'one group on two nodes', breakIt: (s) => changeDecision(s, 'h1', { node: 'n2' }) },
  {
    rule: 'device-twice',
    from: 'allocate',
    what: 'one device for two claims',
    breakIt: (s) => {
      const allocation = { devices: { results: [{ driver: 'd', pool: 'p', device: 'gpu-0' }] } };
      for (const name of ['g0', 'g1']) changeDecision(s, name, { details: { resourceClaimAllocations: [{ name: 'gpu', allocation }] } });
    },
  },
  {
    rule: 'device-twice',
    from: 'allocate',
    what: 'a device that a claim has',
    breakIt: (s) => {
      const allocation = { devices: { results: [{ driver: 'd', pool: 'p', device: 'gpu-0' }] } };
      s.objects.resourceClaims.push({ metadata: { name: 'c', namespace: 'ns' }, status: { allocation } });
      changeDecision(s, 'g0', { details: { resourceClaimAllocations: [{ name: 'gpu', allocation }] } });
    },
  },
  {
    rule: 'node-unusable',
    from: 'allocate',
    what: 'a cordoned node',
    breakIt: (s) => (s.objects.nodes[0] = { ...node('n1', 4), spec: { unschedulable: true } }),
  },
  {
    rule: 'node-unusable',
    from: 'allocate',
    what: 'a node that is not ready',
    breakIt: (s) =>
      (s.objects.nodes[0] = { ...node('n1', 4), status: { ...node('n1', 4).status, conditions: [{ type: 'Ready', status: 'Unknown' }] } }),
  },
  {
    rule: 'node-taint',
    from: 'allocate',
    what: 'a taint',
    breakIt: (s) => (s.objects.nodes[0] = { ...node('n1', 4), spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } }),
  },
  {
    rule: 'node-affinity',
    from: 'allocate',
    what: 'a node selector',
    breakIt: (s) => changeSpec(s, 'g0', { nodeSelector: { zone: 'n2' } }),
  },
  {
    rule: 'node-affinity',
    from: 'allocate',
    what: 'a required affinity',
    breakIt: (s) =>
      changeSpec(s, 'g0', {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['n1'] }] }],
            },
          },
        },
      }),
  },
  {
    rule: 'node-kind',
    from: 'allocate',
    what: 'whole GPUs on a MIG node of strategy mixed',
    breakIt: (s) =>
      (s.objects.nodes[0] = {
        ...node('n1', 4),
        metadata: { name: 'n1', labels: { 'node-role.kubernetes.io/mig-enabled': 'true', 'nvidia.com/mig.strategy': 'mixed' } },
      }),
  },
  {
    rule: 'node-kind',
    from: 'allocate',
    what: 'a node that is no GPU worker',
    breakIt: (s) => {
      params(s, { restrictSchedulingNodes: true });
      s.objects.nodes = s.objects.nodes.map((n) => ({
        ...n,
        metadata: { ...n.metadata, labels: { ...n.metadata.labels, 'node-role.kubernetes.io/cpu-worker': '' } },
      }));
    },
  },
  {
    rule: 'host-port',
    from: 'allocate',
    what: 'one port twice',
    breakIt: (s) => {
      for (const name of ['g0', 'g1']) changeSpec(s, name, { containers: [{ ...podOf(s, name).spec.containers![0]!, ...port }] });
    },
  },
  {
    rule: 'pod-affinity',
    from: 'allocate',
    what: 'nobody to be with',
    breakIt: (s) => changeSpec(s, 'g0', { affinity: { podAffinity: required } }),
  },
  {
    rule: 'pod-anti-affinity',
    from: 'allocate',
    what: 'beside whom it avoids',
    breakIt: (s) => {
      changePod(s, 'g1', (p) => labelled(p, 'a'));
      changeSpec(s, 'g0', { affinity: { podAntiAffinity: required } });
    },
  },
  {
    rule: 'pod-anti-affinity',
    from: 'allocate',
    what: 'beside a running pod that avoids it',
    breakIt: (s) => {
      changePod(s, 'g0', (p) => labelled(p, 'a'));
      s.objects.pods.push({ ...pod('r', 'half', 0, 'n1'), spec: { nodeName: 'n1', affinity: { podAntiAffinity: required } } });
    },
  },
  {
    rule: 'partial-gang',
    from: 'allocate',
    what: 'one of two',
    breakIt: (s) => {
      drop(s, 'g1');
      drop(s, 'g2');
    },
  },
  {
    rule: 'partial-gang',
    from: 'allocate',
    what: 'an optional sub-group in part',
    breakIt: (s) => {
      changeGroup(s, 'gang', {
        minSubGroup: 1,
        subGroups: [
          { name: 'a', minMember: 1 },
          { name: 'b', minMember: 3 },
        ],
      });
      intoSubGroups(s, ['g0', 'g1', 'g2']);
    },
  },
  {
    rule: 'bound-while-waiting',
    from: 'allocate',
    what: 'one bound, the rest promised',
    breakIt: (s) => {
      for (const name of ['g1', 'g2']) changeDecision(s, name, { kind: 'pipeline' });
    },
  },
  { rule: 'queue-unknown', from: 'allocate', what: 'no such queue', breakIt: (s) => changeGroup(s, 'gang', { queue: 'nowhere' }) },
  { rule: 'queue-unknown', from: 'allocate', what: 'a queue with queues below', breakIt: (s) => changeGroup(s, 'gang', { queue: 'dept' }) },
  {
    rule: 'queue-limit',
    from: 'allocate',
    what: 'of the leaf',
    breakIt: (s) => (s.objects.queues[1] = queue('team', 'dept', { quota: 4, limit: 3 })),
  },
  {
    rule: 'queue-limit',
    from: 'allocate',
    what: 'of the parent',
    breakIt: (s) => (s.objects.queues[0] = queue('dept', '', { quota: 4, limit: 3 })),
  },
  {
    rule: 'queue-quota',
    from: 'allocate',
    what: 'of the leaf',
    breakIt: (s) => (s.objects.queues[1] = queue('team', 'dept', { quota: 2, limit: 6 })),
  },
  {
    rule: 'queue-quota',
    from: 'allocate',
    what: 'of the parent',
    breakIt: (s) => (s.objects.queues[0] = queue('dept', '', { quota: 2, limit: 8 })),
  },
];
