#!/bin/sh
# The translations that docs/translation.md tabulates, trained and scored:
#     sh benchmarks/translation.sh DATA OUT
#
# DATA holds sunflower2daisy, photo2monet and photo2hayao, each with trainA, trainB, testA and
# testB. OUT gets the runs, with their galleries, and the scores as JSON and text. A second call
# goes on where the first was stopped.
#
# SIZE=64; FLAGS of phasegan train, such as "--variant full --threads 2"; PARTS="pairs options";
# SEEDS="0 1 2"; TERMS="identity without" and RATED="", for one share of several; PHASEGAN, the
# command.
set -eu
[ $# -eq 2 ] || { echo "usage: sh benchmarks/translation.sh DATA OUT" >&2; exit 2; }
data=$1 out=$2 size=${SIZE:-64} run=${PHASEGAN:-phasegan}
mkdir -p "$out"

learn() { # learn NAME PAIR OPTIONS...
    name=$1 pair=$2 && shift 2
    # shellcheck disable=SC2086
    $run train "$data/$pair" -o "$out/$name" --resume --size "$size" ${FLAGS:-} "$@"
}
rate() { # rate NAME PAIR RUN...
    name=$1 pair=$2 && shift 2
    arguments=
    for each in "$@"; do arguments="$arguments --run $out/$each"; done
    # shellcheck disable=SC2086
    $run evaluate "$data/$pair" $arguments --json "$out/$name.json" | tee "$out/$name.txt"
}

case " ${PARTS:-pairs options} " in *" pairs "*)
    for seed in ${SEEDS:-0 1 2}; do
        for row in "sunflower2daisy 8" "photo2monet 18" "photo2hayao 18"; do
            # shellcheck disable=SC2086
            set -- $row
            for term in ${TERMS:-identity without}; do
                weight=
                [ "$term" = identity ] || weight="--identity 0"
                # shellcheck disable=SC2086
                learn "$1-$term-$seed" "$1" --epochs "$2" --seed "$seed" $weight
            done
        done
    done
    for pair in ${RATED-sunflower2daisy photo2monet photo2hayao}; do
        runs=
        for term in ${TERMS:-identity without}; do
            for seed in ${SEEDS:-0 1 2}; do runs="$runs $pair-$term-$seed"; done
        done
        # shellcheck disable=SC2086
        rate "$pair" "$pair" $runs
    done ;;
esac
case " ${PARTS:-pairs options} " in *" options "*)
    pair=sunflower2daisy runs=
    for seed in ${SEEDS:-0 1 2}; do
        some="--epochs 4 --seed $seed" few="--epochs 40 --samples 50 --seed $seed"
        # shellcheck disable=SC2086
        {
            learn "default-$seed" $pair $some
            learn "latest-weights-$seed" $pair $some --ema-decay 0
            learn "transposed-$seed" $pair $some --upsampling transposed
            learn "spectral-norm-$seed" $pair $some --spectral-norm
            learn "hinge-$seed" $pair $some --gan-loss hinge
            learn "rate-$seed" $pair $some --learning-rate 0.0004
            learn "resnet-$seed" $pair $some --generator resnet
            learn "few-$seed" $pair $few
            learn "few-augment-$seed" $pair $few --augment colour,shift,cutout
        }
    done
    for name in default latest-weights transposed spectral-norm hinge rate resnet few few-augment; do
        for seed in ${SEEDS:-0 1 2}; do runs="$runs $name-$seed"; done
    done
    # shellcheck disable=SC2086
    [ -z "${RATED-all}" ] || rate options $pair $runs ;;
esac
