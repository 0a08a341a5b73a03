// What a scenario is, and what it gives back.

export interface ScenarioOptions {
  readonly nodes: number;
  readonly rounds: number;
  /** Standing pods of `sync` and `churn`. */
  readonly pods: number;
  /** Length of `churn`. */
  readonly minutes: number;
  /** Flags for the scheduler. */
  readonly schedulerArgs: readonly string[];
  /** Told while it runs. */
  readonly progress: (line: string) => void;
}

/** One measurement; rows of the same case are rounds. Figures by name with unit; NaN = does not apply. */
export interface Row {
  readonly case: string;
  readonly figures: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  run(options: ScenarioOptions): Promise<Row[]>;
}

/** Writes of each kind per item, as figures. */
export function writesPer(count: number, writes: Readonly<Record<string, number>>, item = 'pod'): Record<string, number> {
  return Object.fromEntries(Object.entries(writes).map(([kind, sum]) => [`${kind} /${item}`, sum / count]));
}

export function total(writes: Readonly<Record<string, number>>): number {
  return Object.values(writes).reduce((sum, count) => sum + count, 0);
}
