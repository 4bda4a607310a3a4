# header.pxd - object headers as a stream of messages
#
#     cdef Header h
#     cdef Message m
#     open_header(s, &h, address)
#     while next_message(s, &h, &m): ...

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kio.containers.hdf5.structure cimport Structure

cdef enum:
    BLOCKS_MAX = 65          # the header itself and 64 continuations


cdef enum MessageType:
    NIL = 0x00
    DATASPACE = 0x01
    LINK_INFO = 0x02
    DATATYPE = 0x03
    LINK = 0x06
    EXTERNAL_FILES = 0x07
    LAYOUT = 0x08
    FILTERS = 0x0B
    ATTRIBUTE = 0x0C
    SHARED_TABLE = 0x0F
    CONTINUATION = 0x10
    SYMBOL_TABLE = 0x11
    DRIVER_INFO = 0x14
    ATTRIBUTE_INFO = 0x15
    CACHE_IMAGE = 0x18
    KNOWN_MAX = 0x18


cdef enum MessageFlag:
    SHARED = 0x02            # the data is a reference to the message proper
    MUST_KNOW = 0x80         # refuse the object when the type is unknown


cdef struct Message:
    uint64_t offset          # of the data, in the source
    uint32_t nbytes
    uint16_t type
    uint8_t flags


cdef struct Block:
    uint64_t offset
    uint64_t end


cdef struct Header:
    uint64_t address
    uint64_t at              # next message
    uint64_t end             # of the messages of this block
    uint32_t left            # messages still announced (version 1)
    uint32_t prefix          # bytes before the data of each message
    unsigned block, nblocks
    uint8_t version
    Block blocks[BLOCKS_MAX]


cdef int open_header(Structure s, Header *h, uint64_t at) except -1
cdef bint next_message(Structure s, Header *h, Message *m) except -1
