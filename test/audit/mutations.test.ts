import { describe, expect, test } from 'vitest';
import { auditCycle, RULES, type RuleId } from '../../src/audit/audit.ts';
import { changeDecision, changeGroup, changePod, drop, pluginArguments, SCENARIOS, STARTED } from './edits.ts';
import { EVICTION_MUTATIONS } from './evictionMutations.ts';
import { PLACEMENT_MUTATIONS } from './placementMutations.ts';
import { group, NOW_MS, place, pod, queue, type Scenario } from './scenarios.ts';

function rulesOf({ objects, decisions, config }: Scenario): RuleId[] {
  return [...new Set(auditCycle({ objects, decisions, config, nowMs: NOW_MS }).map((f) => f.rule))];
}

test.each(Object.entries(SCENARIOS))('nothing is wrong with the decisions of %s', (_, build) => {
  expect(auditCycle({ ...build(), nowMs: NOW_MS })).toEqual([]);
});

const MUTATIONS = [...PLACEMENT_MUTATIONS, ...EVICTION_MUTATIONS];

describe('a decision list broken in one way', () => {
  test.each(MUTATIONS.map((m) => [m.rule, m.from, m.what, m] as const))('%s: %s, %s', (rule, from, _what, { breakIt }) => {
    const scenario = SCENARIOS[from]();
    breakIt(scenario);
    expect(rulesOf(scenario)).toContain(rule);
  });

  test('every rule has been broken', () => {
    const broken = new Set<string>([...MUTATIONS.map((m) => m.rule), 'report-mismatch']);
    expect(Object.keys(RULES).filter((rule) => !broken.has(rule))).toEqual([]);
  });
});

describe('what is allowed', () => {
  const allowed = (from: keyof typeof SCENARIOS, change: (s: Scenario) => void): unknown => {
    const scenario = SCENARIOS[from]();
    change(scenario);
    return auditCycle({ ...scenario, nowMs: NOW_MS });
  };

  test('a growing job is bound in steps, the last of them only promised', () => {
    const steps = (s: Scenario): void => changeDecision(s, 'g2', { kind: 'pipeline' });
    expect(allowed('allocate', steps)).toEqual([]);
  });

  test('an elastic job inside its runtime loses its surplus', () => {
    const surplus = (s: Scenario): void => {
      pluginArguments(s, 'minruntime', { defaultPreemptMinRuntime: '5m' });
      changeGroup(s, 'low', { minMember: 1 }, STARTED);
      drop(s, 'l0');
      changePod(s, 'x0', () => pod('x0', 'high', 2));
      changeDecision(s, 'x0', { gpuCount: 2 });
    };
    expect(allowed('preempt', surplus)).toEqual([]);
  });

  test('binds that come after the evictions of the cycle, and a bind that was taken back', () => {
    const late = (s: Scenario): void => {
      s.objects.podGroups.push(group('late', 'rich'));
      s.objects.pods.push(pod('late0', 'late', 0));
      s.decisions.push(place('bind', 'allocate', 'late0', 'late', 'n1', 0));
    };
    expect(allowed('reclaim', late)).toEqual([]);
    // Two of the six GPUs were bound in this very cycle; without them the queue is at its share.
    const back = (s: Scenario): void => {
      for (const name of ['r4', 'r5']) changePod(s, name, () => pod(name, `rich-${name.slice(1)}`, 1));
      const [, , placed] = s.decisions;
      s.decisions = [
        {
          ...placed!,
          details: {
            takenBack: [
              { pod: 'ns/r5', node: 'n2' },
              { pod: 'ns/r4', node: 'n2' },
            ],
          },
        },
      ];
    };
    expect(allowed('reclaim', back)).toEqual([]);
  });

  test('the parent of the reclaimer may end above its share while the other side is still fuller', () => {
    const departments = (s: Scenario): void => {
      s.objects.queues = [
        queue('a', '', { quota: 2 }),
        queue('b', '', { quota: 4 }),
        queue('rich', 'a', { quota: 1 }),
        queue('poor', 'b', { quota: 4 }),
      ];
    };
    expect(allowed('reclaim', departments)).toEqual([]);
  });
});

test('the report is compared with own sums and fair shares', () => {
  const { objects, decisions, config } = SCENARIOS.reclaim();
  const right = {
    queue: 'poor',
    fairShareMilliCpu: 2000,
    fairShareMemoryBytes: 0,
    fairShareGpu: 4,
    usageCpu: 0,
    usageMemory: 0,
    usageGpu: 0,
    allocatedMilliCpu: 2000,
    allocatedMemoryBytes: 0,
    allocatedGpu: 4,
  };
  const rules = (report: object): string[] =>
    auditCycle({ objects, decisions, config, nowMs: NOW_MS, report: { queues: [{ ...right, ...report }] } }).map((f) => f.rule);
  expect(rules({})).toEqual([]);
  expect(rules({ fairShareGpu: 5 })).toEqual(['report-mismatch']);
  expect(rules({ allocatedGpu: 2 })).toEqual(['report-mismatch']);
  expect(rules({ queue: 'nobody' })).toEqual(['report-mismatch']);
});
