/** The endpoints of the operator, over the rooms that do the work. */
import type { AnyEndpoint } from '../endpoint.ts'
import { type AccountSources, accountEndpoints } from './accounts.ts'
import { auditEndpoint } from './audit.ts'
import { type CreditSources, creditEndpoints } from './credits.ts'
import { type KeyShapes, type KeySources, keyEndpoints } from './keys.ts'
import { type LocalModelSources, localModelEndpoints } from './local-models.ts'
import { type LedgerSources, ledgerEndpoints } from './ledger.ts'
import { type PriceSources, priceEndpoints } from './prices.ts'

export type AdminSources = AccountSources & CreditSources & KeySources & LedgerSources & LocalModelSources & PriceSources

/** In the order in which one needs them; what gives comes before what takes back. */
export const adminEndpoints = <Fields>(of: AdminSources, shapes: KeyShapes<Fields>): AnyEndpoint[] => [
  ...creditEndpoints(of),
  ...keyEndpoints(of, shapes),
  ...accountEndpoints(of),
  ...priceEndpoints(of),
  ...ledgerEndpoints(of),
  ...localModelEndpoints(of),
  auditEndpoint(of.audit),
]
