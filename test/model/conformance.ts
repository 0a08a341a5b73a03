// The twin on conformance cases that need nothing but allocate.
import type { Decision } from '../../src/base/decisions.ts';
import type { NodeRow, PodGroupRow, PodRow } from '../../src/base/rows.ts';
import type { ConformanceCase } from '../conformance/caseFormat.ts';
import { compareCase, type Difference, resultOfCycle } from '../conformance/compareCase.ts';
import { needsVictims } from '../conformance/selectCases.ts';
import { configOf } from '../conformance/wiring.ts';
import { outOfScope } from './scope.ts';
import { decide, type TwinDecision } from './twin.ts';

function asDecision(decision: TwinDecision): Decision {
  const rows = { podRow: -1 as PodRow, podGroupRow: -1 as PodGroupRow, nodeRow: -1 as NodeRow };
  return { ...decision, ...rows, action: 'allocate', receivedType: 0, podUid: '' };
}

/** Why the case is not for the twin, or null. */
export function skipReason(conformanceCase: ConformanceCase): string | null {
  if (conformanceCase.cycles !== 1) return 'several cycles';
  if (needsVictims(conformanceCase)) return 'victims';
  const config = configOf(conformanceCase.input);
  if (!config.actions.includes('allocate')) return 'no allocate';
  return outOfScope(conformanceCase.input.objects, config);
}

/** What the twin's cycle differs in from what the case states. */
export function differencesOf(conformanceCase: ConformanceCase): Difference[] {
  const { input, nowMs } = conformanceCase;
  const config = { ...configOf(input), actions: ['allocate'] };
  const result = decide(input.objects, config, nowMs);
  const texts = [...result.jobs].flatMap(([key, { state, message, isConditionWanted }]) =>
    state === 'unschedulable' && isConditionWanted ? [[key, message] as const] : [],
  );
  const { stuckInReleasingThresholdMs } = config.params;
  const cycle = { objects: input.objects, decisions: result.decisions.map(asDecision), nowMs, stuckInReleasingThresholdMs };
  return compareCase(conformanceCase, resultOfCycle(cycle, new Map(texts)));
}

/** The expected text holds what the victim actions add to a job's errors (spec 04 sections 2.8, 2.9). */
export function isVictimText(difference: string): boolean {
  const [expected = ''] = difference.split(', got ');
  return expected.includes('.fitError: expected Unable to schedule podgroup: ');
}
