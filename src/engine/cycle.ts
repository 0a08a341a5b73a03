import type { SchedulerConfig } from '../base/config.ts';
import { type CycleReport, type RawDecision, type SearchCounts, searchCountsSince } from '../base/decisions.ts';
import { KaiError } from '../base/errors.ts';
import type { JobFault } from '../base/jobFault.ts';
import type { SnapshotView } from '../base/snapshotView.ts';
import { releaseHeld } from './actions/held.ts';
import { type Action, EXISTING_ACTIONS, findAction } from './actions/index.ts';
import type { SearchPort, SearchRequest } from './parallel.ts';
import { evaluateRange } from './placement/classIndex.ts';
import type { Evaluator } from './placement/evaluate.ts';
import { createFragmentation } from './placement/gpuWaste.ts';
import { readRequest } from './placement/requests.ts';
import { jobReports, queueReports } from './report/reports.ts';
import { sameUntilMs } from './report/sameUntil.ts';
import { staleBindRequests } from './report/staleBindRequests.ts';
import { openSession, STATE_HEADER, sizesOf } from './session/open.ts';
import { listDims } from './session/openNodes.ts';
import { readPlugins, readPolicies } from './session/plugins.ts';
import type { Session } from './session/session.ts';
import { openState, stateSize } from './state/layout.ts';

/** Receives decisions while the cycle runs. One call holds all decisions of one committed job: take all or none. */
export interface DecisionSink {
  commit(decisions: readonly RawDecision[]): void;
  /** A named phase ended ("open", an action's name, "report"); the sink owns the clock. */
  phase(name: string): void;
}

/** Bytes of shared state that a cycle on this snapshot needs; an upper bound known before the cycle opens. */
export function stateBytes(view: SnapshotView, _config: SchedulerConfig): number {
  return stateSize(sizesOf(view));
}

/**
 * Runs one scheduling cycle: open (joins, ledgers, fair shares), the configured actions in order, reports. Pure: the same
 * arguments give the same decisions for any port. `state` is at least `stateBytes` long and need not be zeroed. An action
 * that does not exist is a KaiError with code `UNKNOWN_ACTION`. What is thrown while a job has its turn comes out as a
 * JobFaultError; to go on without that job, run the cycle again with all `faults` so far.
 */
export function runCycle(
  view: SnapshotView,
  config: SchedulerConfig,
  nowMs: number,
  state: SharedArrayBuffer,
  sink: DecisionSink,
  port: SearchPort,
  faults: readonly JobFault[] = [],
): CycleReport {
  const actions = actionsOf(config);
  const session = openSession(view, config, nowMs, state, port, faults);
  sink.phase('open');
  const searchByAction: Record<string, SearchCounts> = {};
  let before = { ...session.search };
  runActions(
    session,
    actions,
    (batch) => sink.commit(batch),
    (name) => {
      const counts = searchCountsSince(before, session.search);
      before = { ...session.search };
      if (counts.attempts + counts.skipped > 0) searchByAction[name] = counts;
      sink.phase(name);
    },
  );
  const report: CycleReport = {
    jobs: jobReports(session),
    queues: queueReports(session),
    counts: session.counts,
    search: session.search,
    searchByAction,
    phaseMs: {},
    staleBindRequests: staleBindRequests(session),
    sameUntilMs: sameUntilMs(session),
  };
  sink.phase('report');
  return report;
}

/** The configured actions, in their order. Throws KaiError UNKNOWN_ACTION for one that does not exist. */
export function actionsOf(config: SchedulerConfig): Action[] {
  return config.actions.map((name) => {
    const action = findAction(name);
    if (action !== undefined) return action;
    throw new KaiError(
      'UNKNOWN_ACTION',
      `action '${name}' does not exist in this version; existing actions: ${EXISTING_ACTIONS.join(', ')}`,
    );
  });
}

/** Decides everything of an open session; `ended` is told the name of each action. */
export function runActions(
  session: Session,
  actions: readonly Action[],
  emit: (batch: readonly RawDecision[]) => void,
  ended: (name: string) => void = () => {},
): void {
  for (const action of actions) {
    action.run(session, emit);
    ended(action.name);
  }
  releaseHeld(session, emit);
}

/**
 * The cycle as a search worker runs it behind the planner, to help with its victim searches: the same actions on a session of
 * its own, with a port that knows what came of the attempts before. Its decisions are nobody's. Arguments as for `runCycle`.
 */
export function followCycle(view: SnapshotView, config: SchedulerConfig, nowMs: number, state: SharedArrayBuffer, port: SearchPort): void {
  const session = openSession(view, config, nowMs, state, port);
  runActions(session, actionsOf(config), () => {});
}

/** What a search worker holds during a cycle. */
export interface SearchContext {
  /** Fills positions [from, to) of the request's slot, exactly as the planner would. */
  run(request: SearchRequest, from: number, to: number): void;
}

/** Opens a running cycle's shared state in a search worker; the planner has initialised it before the first request. */
export function openSearch(view: SnapshotView, config: SchedulerConfig, buffer: SharedArrayBuffer): SearchContext {
  const state = openState(buffer);
  const dimOf = new Map(listDims(view).map((name, d) => [name, d] as const));
  const policies = readPolicies(config, readPlugins(config));
  const evaluator: Evaluator = {
    state,
    policies,
    isGpuClassMapped: state.header[STATE_HEADER.isGpuMapped] === 1,
    // Tasks with resources of device classes are never handed over.
    delegatedDims: new Uint8Array(state.sizes.dims),
    fragmentation: policies.fragmentation ? createFragmentation(view, state, policies.predicates) : null,
  };
  return {
    run(request, from, to) {
      const r = readRequest(view, request.shapeRow, (name) => dimOf.get(name) ?? -1);
      evaluateRange(evaluator, view, r, request.signatureRow, state.slot(request.slot), from, to);
    },
  };
}
