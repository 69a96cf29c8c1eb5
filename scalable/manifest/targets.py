"""The targets of a manifest: where the work runs, one kind per provider."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta, Struct

from scalable.manifest.kinds import Mounts, Size, Timeout, Walltime, Workers

__all__ = ["PROVIDERS", "Containers", "Dask", "Kubernetes", "Local", "Slurm", "Target"]

Containers = Literal["apptainer", "docker", "podman", "singularity"]


class _Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="provider"):
    """What is common to all targets: `provider` says which one it is."""

    provider: ClassVar[str]


class Local(_Target, frozen=True, kw_only=True, tag="local"):
    """Worker processes on this machine."""

    provider: ClassVar[str] = "local"

    max_workers: Annotated[
        Workers | None,
        Meta(description="How many workers; default: as many as the machine has CPUs for their threads."),
    ] = None
    threads_per_worker: Annotated[
        Workers, Meta(description="How many tasks one worker runs at the same time.")
    ] = 1
    processes: Annotated[
        bool,
        Meta(description="A process for each worker (default), or all of them as threads of this process."),
    ] = True
    memory: Annotated[
        Size | None,
        Meta(description="What all workers together may use, such as 16G; default: the machine's memory."),
    ] = None
    worker_ttl: Annotated[
        Timeout | None,
        Meta(
            description="How long a worker may say nothing before it is taken for lost, such as 60s; "
            "default: Dask's 5 min, because code that lets no other thread run is silent too."
        ),
    ] = None
    containers: Annotated[
        Containers | None,
        Meta(description="Which engine runs the images of components; none: no containers."),
    ] = None


class Slurm(_Target, frozen=True, kw_only=True, tag="slurm"):
    """Workers as jobs of a Slurm cluster."""

    provider: ClassVar[str] = "slurm"

    queue: Annotated[str | None, Meta(description="The partition that jobs are sent to.")] = None
    account: Annotated[str | None, Meta(description="The account that jobs are charged to.")] = None
    qos: Annotated[str | None, Meta(description="The quality of service of jobs.")] = None
    walltime: Annotated[
        Walltime | None, Meta(description='How long a job may run: "04:00:00", 4h or seconds.')
    ] = None
    min_workers: Annotated[
        int,
        Meta(ge=0, le=100_000),
        Meta(description="How many jobs are kept even when there is nothing to do."),
    ] = 0
    max_workers: Annotated[Workers, Meta(description="How many jobs there are at most.")] = 1
    threads_per_worker: Annotated[
        Workers | None,
        Meta(description="How many tasks one job runs at the same time; default: one, with all its CPUs."),
    ] = None
    interface: Annotated[
        str | None, Meta(description="The network interface that workers listen on, such as ib0.")
    ] = None
    comm_port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | None,
        Meta(description="The port of the scheduler; default: any free one."),
    ] = None
    log_dir: Annotated[str | None, Meta(description="Where the output of jobs is kept.")] = None
    directives: Annotated[
        tuple[str, ...], Meta(description="More lines for the job script, each without its `#SBATCH`.")
    ] = ()
    prologue: Annotated[
        tuple[str, ...], Meta(description="Shell commands that run in a job before its worker starts.")
    ] = ()
    containers: Annotated[
        Containers | None,
        Meta(description="Which engine runs the images of components; none: no containers."),
    ] = None


class Kubernetes(_Target, frozen=True, kw_only=True, tag="kubernetes"):
    """Workers as pods of a Kubernetes cluster."""

    provider: ClassVar[str] = "kubernetes"

    namespace: Annotated[str | None, Meta(description="The namespace that pods are created in.")] = None
    image: Annotated[
        str | None,
        Meta(description="The image of pods whose component names none; needs scalable in it."),
    ] = None
    min_workers: Annotated[
        int,
        Meta(ge=0, le=100_000),
        Meta(description="How many pods are kept even when there is nothing to do."),
    ] = 0
    max_workers: Annotated[Workers, Meta(description="How many pods there are at most.")] = 1
    threads_per_worker: Annotated[
        Workers | None,
        Meta(description="How many tasks one pod runs at the same time; default: one, with all its CPUs."),
    ] = None
    service_account: Annotated[str | None, Meta(description="The service account of pods.")] = None
    mounts: Annotated[Mounts, Meta(description="What every pod mounts, as `source:path`.")] = ()


class Dask(_Target, frozen=True, kw_only=True, tag="dask"):
    """A Dask scheduler that is already running."""

    provider: ClassVar[str] = "dask"

    address: Annotated[
        str | None,
        Meta(description="Its address, such as tcp://scheduler:8786; default: that of Dask's configuration."),
    ] = None
    tls_ca_file: Annotated[
        str | None, Meta(description="The certificate authority, for tls:// addresses.")
    ] = None
    tls_cert: Annotated[str | None, Meta(description="The certificate of this client.")] = None
    tls_key: Annotated[str | None, Meta(description="The private key of this client.")] = None


Target: TypeAlias = Local | Slurm | Kubernetes | Dask

PROVIDERS: dict[str, type[Target]] = {cls.provider: cls for cls in (Local, Slurm, Kubernetes, Dask)}
