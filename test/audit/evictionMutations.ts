// Evictions, broken one rule at a time.
import { changeDecision, changeGroup, changePod, drop, intoSubGroups, type Mutation, params, pluginArguments, STARTED } from './edits.ts';
import { evict, pod, queue } from './scenarios.ts';

export const EVICTION_MUTATIONS: readonly Mutation[] = [
  {
    rule: 'wrong-evictor',
    from: 'preempt',
    what: 'nobody',
    breakIt: (s) => s.decisions.splice(0, 2, evict('preempt', 'l1', 'low', 'n1', ''), evict('preempt', 'l0', 'low', 'n1', '')),
  },
  {
    rule: 'wrong-evictor',
    from: 'preempt',
    what: 'a job that does not exist',
    breakIt: (s) => s.decisions.splice(0, 2, evict('preempt', 'l1', 'low', 'n1', 'ghost'), evict('preempt', 'l0', 'low', 'n1', 'ghost')),
  },
  {
    rule: 'wrong-evictor',
    from: 'preempt',
    what: 'itself',
    breakIt: (s) => s.decisions.splice(0, 2, evict('preempt', 'l1', 'low', 'n1', 'low'), evict('preempt', 'l0', 'low', 'n1', 'low')),
  },
  {
    rule: 'wrong-evictor',
    from: 'stale',
    what: 'a stale gang for somebody',
    breakIt: (s) => (s.decisions[0] = evict('stalegangeviction', 'g0', 'gang', 'n1', 'gang')),
  },
  { rule: 'evictor-unplaced', from: 'preempt', what: 'evicted for nothing', breakIt: (s) => drop(s, 'x0') },
  {
    rule: 'evictor-delayed',
    from: 'preempt',
    what: 'delay since creation',
    breakIt: (s) => changeGroup(s, 'high', { preemptionDelay: '12h' }),
  },
  {
    rule: 'evictor-delayed',
    from: 'preempt',
    what: 'delay since the last eviction',
    breakIt: (s) => changeGroup(s, 'high', { preemptionDelay: '5m' }, { 'kai.scheduler/last-eviction-timestamp': '2026-01-01T11:58:00Z' }),
  },
  {
    rule: 'evictor-not-preemptible',
    from: 'consolidation',
    what: 'for a non-preemptible job',
    breakIt: (s) => changeGroup(s, 'big', { preemptibility: 'non-preemptible' }),
  },
  {
    rule: 'victim-not-preemptible',
    from: 'preempt',
    what: 'a non-preemptible victim',
    breakIt: (s) => changeGroup(s, 'low', { preemptibility: 'non-preemptible' }),
  },
  {
    rule: 'victim-not-preemptible',
    from: 'consolidation',
    what: 'a non-preemptible pod is moved',
    breakIt: (s) => changeGroup(s, 'small', { preemptibility: 'non-preemptible' }),
  },
  { rule: 'victim-queue', from: 'preempt', what: 'another queue', breakIt: (s) => changeGroup(s, 'low', { queue: 'other' }) },
  { rule: 'victim-queue', from: 'reclaim', what: 'the own queue', breakIt: (s) => changeGroup(s, 'rich-5', { queue: 'poor' }) },
  {
    rule: 'victim-priority',
    from: 'preempt',
    what: 'the same priority',
    breakIt: (s) => changeGroup(s, 'low', { priorityClassName: 'p75' }),
  },
  {
    rule: 'victim-protected',
    from: 'preempt',
    what: 'inside the default runtime',
    breakIt: (s) => {
      pluginArguments(s, 'minruntime', { defaultPreemptMinRuntime: '5m' });
      changeGroup(s, 'low', {}, STARTED);
    },
  },
  {
    rule: 'victim-protected',
    from: 'reclaim',
    what: "inside the queue's runtime",
    breakIt: (s) => {
      s.objects.queues[0] = {
        ...queue('rich', '', { quota: 4 }),
        spec: { ...queue('rich', '', { quota: 4 }).spec, reclaimMinRuntime: '5m' },
      };
      changeGroup(s, 'rich-5', {}, STARTED);
    },
  },
  {
    rule: 'victim-protected',
    from: 'preempt',
    what: 'the core of an elastic job',
    breakIt: (s) => {
      pluginArguments(s, 'minruntime', { defaultPreemptMinRuntime: '5m' });
      changeGroup(s, 'low', { minMember: 1 }, STARTED);
    },
  },
  {
    rule: 'partial-unit',
    from: 'preempt',
    what: 'half a gang',
    breakIt: (s) => {
      drop(s, 'l0');
      changePod(s, 'x0', () => pod('x0', 'high', 2));
      changeDecision(s, 'x0', { gpuCount: 2 });
    },
  },
  { rule: 'partial-unit', from: 'stale', what: 'half a stale gang', breakIt: (s) => drop(s, 'g1') },
  {
    rule: 'reclaim-gate',
    from: 'reclaim',
    what: 'above the own share',
    breakIt: (s) => {
      s.objects.queues[1] = { ...queue('poor', '', { quota: 1, limit: 3 }) };
    },
  },
  {
    rule: 'reclaim-gate',
    from: 'reclaim',
    what: 'non-preemptible above the quota',
    breakIt: (s) => {
      s.objects.queues[1] = queue('poor', '', { quota: 1 });
      changeGroup(s, 'more', { preemptibility: 'non-preemptible' });
    },
  },
  {
    rule: 'reclaim-fair-share',
    from: 'reclaim',
    what: 'from a queue within its share',
    breakIt: (s) => (s.objects.queues[0] = queue('rich', '', { quota: 6 })),
  },
  {
    rule: 'reclaim-fair-share',
    from: 'reclaim',
    what: 'one unit too many',
    breakIt: (s) => s.decisions.splice(2, 0, evict('reclaim', 'r3', 'rich-3', 'n1', 'more')),
  },
  {
    rule: 'reclaim-saturation',
    from: 'reclaim',
    what: 'the own department ends above its share, the other one below',
    breakIt: (s) => {
      s.objects.queues = [
        queue('a', '', { quota: 2 }),
        queue('b', '', { quota: 3, overQuotaWeight: 0 }),
        queue('rich', 'a', { quota: 1 }),
        queue('poor', 'b', { quota: 2 }),
        queue('third', 'b', { quota: 0 }),
      ];
      changeGroup(s, 'own', { queue: 'third' });
    },
  },
  {
    rule: 'move-without-place',
    from: 'consolidation',
    what: 'a place without being called moved',
    breakIt: (s) => (s.decisions[0] = evict('consolidation', 's0', 'small', 'n1', 'big', false)),
  },
  {
    rule: 'consolidation-unmoved',
    from: 'consolidation',
    what: 'evicted for good',
    breakIt: (s) => {
      s.decisions = [evict('consolidation', 's0', 'small', 'n1', 'big', false), s.decisions[1]!];
    },
  },
  {
    rule: 'consolidation-size',
    from: 'consolidation',
    what: 'two jobs, one allowed',
    breakIt: (s) => {
      params(s, { maxNumberConsolidationPreemptees: 0 });
    },
  },
  { rule: 'not-stale', from: 'stale', what: 'a complete gang', breakIt: (s) => changeGroup(s, 'gang', { minMember: 2 }) },
  {
    rule: 'not-stale',
    from: 'stale',
    what: 'a pod has succeeded',
    breakIt: (s) => s.objects.pods.push({ ...pod('g2', 'gang', 1), status: { phase: 'Succeeded' } }),
  },
  {
    rule: 'not-stale',
    from: 'stale',
    what: 'a complete part beside a broken one',
    breakIt: (s) => {
      changeGroup(s, 'gang', {
        minSubGroup: 1,
        subGroups: [
          { name: 'a', minMember: 1 },
          { name: 'b', minMember: 2 },
        ],
      });
      intoSubGroups(s, ['g0', 'g1']);
    },
  },
  { rule: 'stale-grace', from: 'stale', what: 'too early', breakIt: (s) => changeGroup(s, 'gang', { stalenessGracePeriod: '2h' }) },
  { rule: 'stale-grace', from: 'stale', what: 'never', breakIt: (s) => changeGroup(s, 'gang', { stalenessGracePeriod: '-1s' }) },
];
