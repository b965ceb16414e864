/** The steps by name, apart from what they do: a start compares these only. They sort in the order they apply. */
export const STEP_NAMES = ['0001-first', '0002-currencies'] as const

export type StepName = (typeof STEP_NAMES)[number]
