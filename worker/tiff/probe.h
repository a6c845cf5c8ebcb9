/* The modes that look at a whole list of files (common/protocol.h): probe tells what their headers
 * say, hash tells which bytes they are.
 *
 * Both read the request from stdin, report a "begin" before a file is touched, so that whoever
 * listens knows which file ended a worker, and return the process's exit status.
 */
#ifndef WORKER_TIFF_PROBE_H
#define WORKER_TIFF_PROBE_H

int probe_main(void);
int probe_hash_main(void);

#endif
