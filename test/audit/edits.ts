// Ways to change a scenario.
import type { AuditDecision, RuleId } from '../../src/audit/audit.ts';
import type { SchedulerConfig } from '../../src/base/config.ts';
import type { Pod, PodGroup } from '../../src/base/objects.ts';
import type { Scenario } from './scenarios.ts';
import * as scenarios from './scenarios.ts';

export const SCENARIOS = {
  allocate: scenarios.allocateScenario,
  preempt: scenarios.preemptScenario,
  reclaim: scenarios.reclaimScenario,
  consolidation: scenarios.consolidationScenario,
  stale: scenarios.staleScenario,
};

/** A scenario that was right, with one thing changed, and the rule that it breaks. */
export interface Mutation {
  readonly rule: RuleId;
  readonly from: keyof typeof SCENARIOS;
  readonly what: string;
  readonly breakIt: (s: Scenario) => void;
}

export const podOf = (s: Scenario, name: string): Pod => s.objects.pods.find((p) => p.metadata.name === name)!;
export const changePod = (s: Scenario, name: string, change: (p: Pod) => Pod): void => {
  s.objects.pods = s.objects.pods.map((p) => (p.metadata.name === name ? change(p) : p));
};
export const changeSpec = (s: Scenario, name: string, spec: Partial<Pod['spec']>): void =>
  changePod(s, name, (p) => ({ ...p, spec: { ...p.spec, ...spec } }));
export const changeGroup = (s: Scenario, name: string, spec: PodGroup['spec'], annotations?: Record<string, string>): void => {
  s.objects.podGroups = s.objects.podGroups.map((g) =>
    g.metadata.name === name
      ? { ...g, metadata: { ...g.metadata, annotations: annotations ?? g.metadata.annotations }, spec: { ...g.spec, ...spec } }
      : g,
  );
};
export const changeDecision = (s: Scenario, podName: string, change: Partial<AuditDecision>): void => {
  s.decisions = s.decisions.map((d) => (d.pod === `ns/${podName}` ? { ...d, ...change } : d));
};
export const drop = (s: Scenario, podName: string): void => {
  s.decisions = s.decisions.filter((d) => d.pod !== `ns/${podName}`);
};
export const params = (s: Scenario, change: Partial<SchedulerConfig['params']>): void => {
  s.config = { ...s.config, params: { ...s.config.params, ...change } };
};
export const pluginArguments = (s: Scenario, name: string, values: Record<string, string>): void => {
  s.config = { ...s.config, plugins: s.config.plugins.map((p) => (p.name === name ? { name, arguments: values } : p)) };
};
/** The first pod into sub-group a, the others into b. */
export const intoSubGroups = (s: Scenario, names: readonly string[]): void => {
  for (const [i, name] of names.entries()) {
    changePod(s, name, (p) => ({ ...p, metadata: { ...p.metadata, labels: { 'kai.scheduler/subgroup-name': i === 0 ? 'a' : 'b' } } }));
  }
};
export const labelled = (p: Pod, app: string): Pod => ({ ...p, metadata: { ...p.metadata, labels: { ...p.metadata.labels, app } } });
const term = { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'a' } } };
export const required = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
export const port = { name: 'main', ports: [{ hostPort: 80 }] };
export const STARTED = { 'kai.scheduler/last-start-timestamp': '2026-01-01T11:59:00Z' };
