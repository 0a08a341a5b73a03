/** One timed task. The first of a group is what the others are compared with. */
export interface Kernel {
  readonly group: string;
  readonly name: string;
  /** What one operation is. */
  readonly per: string;
  /** Operations of one call; at least a microsecond of work, as an empty task reads 30 ns. */
  readonly operations: number;
  /** Called once per round; the returned call leaves equal work for the next one and returns something of its result. */
  prepare(): () => number;
}
