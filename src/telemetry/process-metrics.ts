/**
 * The process itself, read only when somebody scrapes.
 *
 * prom-client's own default metrics are not taken: they keep an event-loop histogram that wakes the process 100 times a
 * second (0.7 % of a core, measured) and a garbage-collection observer. The utilisation of the event loop says the same
 * for nothing. Names are the usual ones, so that existing dashboards work.
 */
import { performance } from 'node:perf_hooks'
import { Counter, Gauge } from 'prom-client'
import type { Registry } from 'prom-client'

export function addProcessMetrics(registry: Registry): void {
  const seconds = (name: string, help: string, read: () => number): void => {
    registry.registerMetric(
      new Counter({
        name,
        help,
        registers: [],
        collect() {
          this.reset()
          this.inc(read())
        },
      }),
    )
  }
  const gauge = (name: string, help: string, read: () => number): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(read())
        },
      }),
    )
  }

  seconds('process_cpu_seconds_total', 'User and system CPU time, all threads.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_start_time_seconds', 'When the process started, in Unix time.', () => Math.round(performance.timeOrigin / 1000))
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss())
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed)
  gauge(
    'nodejs_external_memory_bytes',
    'Memory of buffers and other objects outside the JavaScript heap.',
    () => process.memoryUsage().external,
  )
  gauge('nodejs_active_handles', 'Sockets, timers and other handles that are open.', () => process.getActiveResourcesInfo().length)
  seconds('nodejs_eventloop_active_seconds_total', 'Time in which the event loop was busy; its rate is the utilisation.', () => {
    return performance.eventLoopUtilization().active / 1000
  })
}
